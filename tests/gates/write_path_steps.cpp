// Executes the write path once, with room at once and nothing to announce, one instruction at a time, with a 64-byte payload.
// Prints "PATH ADDRESS EFFECT" for each: what of the record and of the published position changed by it; - is nothing.
// Exit status 77: nothing can be single-stepped here.
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/gates/write_path_code.h"
#include "tests/instruction/stepper.h"

namespace {

using namespace sluice;
using write_path::call;

constexpr ring_geometry geometry{1 << 16, 4096, 1 << 13};

void step_write(void* of) {
  call& c = *static_cast<call*>(of);
  c.result |= write_path_write(*c.cpu, *c.line, c.type, c.payload, c.length);
}
void step_write_event(void* of) {
  call& c = *static_cast<call*>(of);
  c.result |= write_path_write_event(*c.cpu, *c.line, c.payload);
}
void step_reserve(void* of) {
  call& c = *static_cast<call*>(of);
  c.result |= write_path_reserve(*c.cpu, c.type, c.length, c.open);
}
void step_commit(void* of) {
  call& c = *static_cast<call*>(of);
  c.result |= write_path_commit(c.open, *c.line);
}
void step_floor(void* of) {
  call& c = *static_cast<call*>(of);
  write_path_floor(c.floor, c.payload, c.length);
}
void step_floor_event(void* of) {
  call& c = *static_cast<call*>(of);
  write_path_floor_event(c.floor, c.payload);
}

region_view<native_seam> new_region(uint8_t lane) {
  void* const memory = std::aligned_alloc(region_page, region_bytes(geometry));
  std::memset(memory, 0, region_bytes(geometry));
  return create_region(memory, geometry, {1, 1000, 0, lane, 0});
}

using write_path::event_length;

// What readers can see of a ring and of the record at a position.
class sight {
 public:
  sight(const region_view<native_seam>& region, uint32_t position) : region_(region), offset_(position) { look(); }

  // What has changed since the last look.
  const char* look() {
    record_header header;
    uint8_t payload[event_length];
    const uint32_t published = region_.producer->published.load(memory_order::acquire);
    std::memcpy(&header, region_.data.bytes(offset_), sizeof header);
    std::memcpy(payload, region_.data.bytes(offset_ + record_header_size), sizeof payload);
    const record_state state = state_of(header.state_and_length);
    const char* const seen = published != published_                         ? "publish"
                             : state != state_of(header_.state_and_length)   ? name_of(state)
                             : std::memcmp(&header.type, &header_.type, 4)   ? "header"
                             : time_of(header) != time_of(header_)           ? "time"
                             : std::memcmp(payload, payload_, sizeof payload) ? "payload"
                                                                             : "-";
    published_ = published;
    header_ = header;
    std::memcpy(payload_, payload, sizeof payload);
    return seen;
  }

 private:
  static const char* name_of(record_state state) {
    static const char* const names[] = {"none", "reserved", "stamp", "close", "discard"};
    return names[static_cast<uint32_t>(state)];
  }

  const region_view<native_seam>& region_;
  uint32_t offset_;
  uint32_t published_ = 0;
  record_header header_{};
  uint8_t payload_[event_length] = {};
};

}  // namespace

int main() {
  if (instruction::why_not_stepped() != nullptr) {
    std::printf("SKIPPED: %s\n", instruction::why_not_stepped());
    return 77;
  }
  static write_path::rings cpu;
  static write_path::wake line;
  static uint8_t payload[event_length];
  for (uint32_t i = 0; i < event_length; ++i) payload[i] = static_cast<uint8_t>(i + 1);
  static uint8_t floor[256];
  const auto main_region = new_region(lane_main);
  cpu.attach(main_region, new_region(lane_spare), 0);
  static call made{&cpu, &line, payload, floor, {}, event_length, write_path::event_type, 0};

  instruction::stepper steps;
  const auto step = [&](const char* path, instruction::stepper::code code, uint32_t position) {
    sight record(main_region, position);
    uintptr_t last = 0;
    steps.run(code, &made, [&] {
      if (last != 0) std::printf("%s %" PRIxPTR " %s\n", path, last, record.look());
      last = reinterpret_cast<uintptr_t>(code) + static_cast<uintptr_t>(steps.offset());
    });
  };
  const uint32_t stride = record_stride(record_header_size + event_length);
  step_write(&made);  // what is done once only is done now
  step("write", step_write, stride);
  step("write_event", step_write_event, 2 * stride);
  step("reserve", step_reserve, 3 * stride);
  step("commit", step_commit, 3 * stride);
  step("floor", step_floor, 4 * stride);
  step("floor_event", step_floor_event, 4 * stride);
  const uint32_t state = main_region.data.state(3 * stride).load(memory_order::acquire);
  if (made.result != 0 || state_of(state) != record_state::committed || cpu.where().written[0] != 4 * stride) {
    std::fprintf(stderr, "write_path_steps: what was stepped did not write\n");
    return 1;
  }
}
