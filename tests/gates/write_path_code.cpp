// Compiled freestanding by write_path.py, with each compiler.
#include "tests/gates/write_path_code.h"

using namespace sluice;

namespace {

SLUICE_ALWAYS_INLINE uint32_t result_of(reserve_status status, announcement announced) {
  return static_cast<uint32_t>(status) | static_cast<uint32_t>(announced);
}

SLUICE_ALWAYS_INLINE void clock_and_copy(uint8_t* to, const void* payload, uint32_t length) {
  const uint64_t time = write_path::counter_clock().now();
  copy_bytes(to, &time, sizeof time);
  copy_bytes(to + sizeof time, payload, length);
}

}  // namespace

uint32_t write_path_write(write_path::rings& cpu, const write_path::wake& line, uint16_t type, const void* payload,
                          uint32_t length) {
  const reserve_status status = cpu.write(type, 1, payload, length);
  return result_of(status, line.after_close());
}

uint32_t write_path_write_event(write_path::rings& cpu, const write_path::wake& line, const void* payload) {
  const reserve_status status = cpu.write(write_path::event_type, 1, payload, write_path::event_length);
  return result_of(status, line.after_close());
}

uint32_t write_path_reserve(write_path::rings& cpu, uint16_t type, uint32_t length, write_path::record& open) {
  return static_cast<uint32_t>(cpu.reserve(type, 1, length, open));
}

uint32_t write_path_commit(const write_path::record& open, const write_path::wake& line) {
  open.close(record_state::committed);
  return static_cast<uint32_t>(line.after_close());
}

void write_path_floor(uint8_t* to, const void* payload, uint32_t length) { clock_and_copy(to, payload, length); }
void write_path_floor_event(uint8_t* to, const void* payload) { clock_and_copy(to, payload, write_path::event_length); }
