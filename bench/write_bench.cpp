// What an event costs its CPU: write, in both modes, and reserve with fill and commit, at 16, 64 and 200 bytes of payload, beside the
// floor: one reading of the same clock, and a copy of the same bytes to the next place of a buffer as large as the ring.
// The section itself (raising to DISPATCH_LEVEL) is not in here: bench/callback_bench.cpp has it.
#include <vector>

#include "bench/suite.h"
#include "bench/support.h"
#include "pipeline/wake.h"

namespace sluice::bench {
namespace {

template <class clock>
void clock_alone(benchmark::State& state) {
  clock source;
  for (auto _ : state) benchmark::DoNotOptimize(source.now());
}

template <class clock>
void floor_clock_and_copy(benchmark::State& state, uint32_t length) {
  const uint32_t stride = record_stride(record_header_size + length);
  std::vector<uint8_t> payload(length, 7);
  std::vector<uint8_t> buffer(main_geometry.capacity + main_geometry.max_record, 1);
  clock source;
  uint32_t position = 0;
  for (auto _ : state) {
    uint8_t* const to = buffer.data() + (position & (main_geometry.capacity - 1));
    const uint64_t time = source.now();
    std::memcpy(to, &time, sizeof time);
    copy_bytes(to + record_header_size, payload.data(), length);
    benchmark::ClobberMemory();
    position += stride;
  }
}

template <class clock>
void write(benchmark::State& state, uint32_t length) {
  std::vector<uint8_t> payload(length, 7);
  basic_cpu<clock> on(clock{}, 0);
  wake_line<native_seam> wake;
  follower consumer(on.main.view);
  for (auto _ : state) {
    if (on.rings.write(ordinary_type, 1, payload.data(), length) != reserve_status::ok) [[unlikely]] {
      state.SkipWithError("an event was dropped");
      break;
    }
    benchmark::DoNotOptimize(wake.after_close());
    consumer.follow();
  }
}

// A flight recorder: nobody reads, and all but the first lap overwrites.
template <class clock>
void overwrite(benchmark::State& state, uint32_t length) {
  std::vector<uint8_t> payload(length, 7);
  basic_cpu<clock> on(clock{}, 0, main_geometry, ring_mode::overwrite);
  wake_line<native_seam> wake;
  const auto put = [&] {
    return on.rings.write(ordinary_type, 1, payload.data(), length) == reserve_status::ok;
  };
  for (uint32_t bytes = 0; bytes < main_geometry.capacity; bytes += record_stride(record_header_size + length)) {
    if (!put()) return state.SkipWithError("an event was dropped");
  }
  for (auto _ : state) {
    if (!put()) [[unlikely]] {
      state.SkipWithError("an event was dropped");
      break;
    }
    benchmark::DoNotOptimize(wake.after_close());
  }
}

template <class clock>
void reserve_fill_commit(benchmark::State& state, uint32_t length) {
  std::vector<uint8_t> payload(length, 7);
  basic_cpu<clock> on(clock{}, 0);
  wake_line<native_seam> wake;
  follower consumer(on.main.view);
  for (auto _ : state) {
    open_record<native_seam> open;
    if (on.rings.reserve(ordinary_type, 1, length, open) != reserve_status::ok) [[unlikely]] {
      state.SkipWithError("an event was dropped");
      break;
    }
    copy_bytes(open.payload(), payload.data(), length);
    open.close(record_state::committed);
    benchmark::DoNotOptimize(wake.after_close());
    consumer.follow();
  }
}

template <class clock>
void add_with(const settings& with) {
  const uint64_t events = with.scale(200000);
  const std::string tail = std::string("/") + clock::name;
  add("write/clock/0" + tail, events, clock_alone<clock>);
  for (const uint32_t length : {16u, 64u, 200u}) {
    const std::string name = "/" + std::to_string(length) + tail;
    add("write/floor" + name, events, [length](auto& state) { floor_clock_and_copy<clock>(state, length); });
    add("write/write" + name, events, [length](auto& state) { write<clock>(state, length); });
    add("write/reserve" + name, events, [length](auto& state) { reserve_fill_commit<clock>(state, length); });
    add("write/overwrite" + name, events, [length](auto& state) { overwrite<clock>(state, length); });
  }
}

}  // namespace

void add_write(const settings& with) {
  add_with<monotonic_clock>(with);
  add_with<counter_clock>(with);
}

}  // namespace sluice::bench
