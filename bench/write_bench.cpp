// What an event costs its CPU: write, and reserve with fill and commit, at 16, 64 and 200 bytes of payload, beside the
// floor: one reading of the same clock, and a copy of the same bytes to the next place of a buffer as large as the ring.
//
// The ring never blocks the measurement: its consumer's position follows in steps of a quarter, as an honest consumer's
// would; giving that room back (a walk over the headers) is part of what is measured. The section itself (raising to
// DISPATCH_LEVEL) is not: it costs the same for whatever runs in it.
#include <benchmark/benchmark.h>

#include <vector>

#include "bench/bench_support.h"
#include "pipeline/wake.h"

namespace sluice::bench {
namespace {

using cpu = basic_cpu<monotonic_clock>;

void count(benchmark::State& state) {
  const double events = static_cast<double>(state.iterations());
  state.counters["events/s"] = benchmark::Counter(events, benchmark::Counter::kIsRate);
  state.counters["time/event"] = benchmark::Counter(events, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

// The consumer has read everything so far.
class follower {
 public:
  explicit follower(const lane& followed) : lane_(followed) {}
  void follow() {
    const uint32_t published = lane_.view.producer->published.load(memory_order::relaxed);
    if (published - claimed_ < lane_.view.geometry.capacity / 4) return;
    claimed_ = published;
    lane_.view.consumer->consumed.store(claimed_, memory_order::release);
  }

 private:
  const lane& lane_;
  uint32_t claimed_ = 0;
};

void floor_clock_and_copy(benchmark::State& state) {
  const uint32_t length = static_cast<uint32_t>(state.range(0));
  const uint32_t stride = record_stride(record_header_size + length);
  std::vector<uint8_t> payload(length, 7);
  std::vector<uint8_t> buffer(main_geometry.capacity + main_geometry.max_record);
  monotonic_clock clock;
  uint32_t position = 0;
  for (auto _ : state) {
    uint8_t* const to = buffer.data() + (position & (main_geometry.capacity - 1));
    const uint64_t time = clock.now();
    std::memcpy(to, &time, sizeof time);
    copy_bytes(to + record_header_size, payload.data(), length);
    benchmark::ClobberMemory();
    position += stride;
  }
  count(state);
}

void write(benchmark::State& state) {
  const uint32_t length = static_cast<uint32_t>(state.range(0));
  std::vector<uint8_t> payload(length, 7);
  cpu on(monotonic_clock{}, 0);
  wake_line<native_seam> wake;
  follower consumer(on.main);
  for (auto _ : state) {
    const reserve_status status = on.rings.write(ordinary_type, 1, payload.data(), length);
    if (status != reserve_status::ok) {
      state.SkipWithError("an event was dropped");
      break;
    }
    benchmark::DoNotOptimize(wake.after_close());
    consumer.follow();
  }
  count(state);
}

void reserve_fill_commit(benchmark::State& state) {
  const uint32_t length = static_cast<uint32_t>(state.range(0));
  std::vector<uint8_t> payload(length, 7);
  cpu on(monotonic_clock{}, 0);
  wake_line<native_seam> wake;
  follower consumer(on.main);
  for (auto _ : state) {
    open_record<native_seam> open;
    const reserve_status status = on.rings.reserve(ordinary_type, 1, length, open);
    if (status != reserve_status::ok) {
      state.SkipWithError("an event was dropped");
      break;
    }
    copy_bytes(open.payload(), payload.data(), length);
    open.close(record_state::committed);
    benchmark::DoNotOptimize(wake.after_close());
    consumer.follow();
  }
  count(state);
}

BENCHMARK(floor_clock_and_copy)->ArgName("payload")->Arg(16)->Arg(64)->Arg(200);
BENCHMARK(write)->ArgName("payload")->Arg(16)->Arg(64)->Arg(200);
BENCHMARK(reserve_fill_commit)->ArgName("payload")->Arg(16)->Arg(64)->Arg(200);

}  // namespace
}  // namespace sluice::bench
