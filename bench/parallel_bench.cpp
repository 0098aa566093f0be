// Two producers on two rings, beside one: rings of different CPUs share nothing that is written, so two should take the
// time of one. No consumer: each producer's ring is followed as in the write benchmark.
//
// parallel/floor: the same with clock and copy only, into memory of each thread's own: what the two processors of this
// machine give, whatever runs on them (they may share a core, its power or its caches).
#include <algorithm>
#include <atomic>
#include <vector>

#include "bench/suite.h"
#include "bench/support.h"
#include "bench/two_cpus.h"
#include "pipeline/wake.h"

namespace sluice::bench {
namespace {

// Two of them share no line, and none that a prefetcher fetches together.
template <class clock>
class alignas(256) writer {
 public:
  explicit writer(uint16_t number, const wake_line<native_seam>& wake)
      : on_(clock{}, number), consumer_(on_.main.view), wake_(wake) {}

  void write(uint64_t events) {
    for (uint64_t i = 0; i < events; ++i) {
      dropped += on_.rings.write(ordinary_type, 1, payload_.data(), 64) != reserve_status::ok;
      benchmark::DoNotOptimize(wake_.after_close());
      consumer_.follow();
    }
  }
  // Nanoseconds.
  uint64_t time(uint64_t events) {
    const uint64_t begin = monotonic_nanoseconds();
    write(events);
    return monotonic_nanoseconds() - begin;
  }
  uint64_t dropped = 0;

 private:
  basic_cpu<clock> on_;
  follower consumer_;
  const wake_line<native_seam>& wake_;
  std::vector<uint8_t> payload_ = std::vector<uint8_t>(64, 7);
};

// Clock and copy into its own buffer.
template <class clock>
class alignas(256) floor_writer {
 public:
  explicit floor_writer(uint16_t, const wake_line<native_seam>&) {}

  void write(uint64_t events) {
    for (uint64_t i = 0; i < events; ++i, position_ += record_stride(record_header_size + 64)) {
      uint8_t* const to = buffer_.data() + (position_ & (main_geometry.capacity - 1));
      const uint64_t time = clock_.now();
      std::memcpy(to, &time, sizeof time);
      copy_bytes(to + record_header_size, payload_.data(), 64);
      benchmark::ClobberMemory();
    }
  }
  uint64_t time(uint64_t events) {
    const uint64_t begin = monotonic_nanoseconds();
    write(events);
    return monotonic_nanoseconds() - begin;
  }
  static constexpr uint64_t dropped = 0;

 private:
  clock clock_;
  uint32_t position_ = 0;
  std::vector<uint8_t> buffer_ = std::vector<uint8_t>(main_geometry.capacity + main_geometry.max_record, 1);
  std::vector<uint8_t> payload_ = std::vector<uint8_t>(64, 7);
};

void report(benchmark::State& state, uint64_t dropped, double events, double nanoseconds) {
  if (dropped != 0) state.SkipWithError("an event was dropped");
  state.counters["events/s"] = events / nanoseconds * 1e9;
}

template <class producer>
void one_producer(benchmark::State& state, uint64_t events) {
  const wake_line<native_seam> wake;
  producer first(0, wake);
  first.write(events / 10);
  const uint64_t time = first.time(events);
  report(state, first.dropped, static_cast<double>(events), static_cast<double>(time));
}

template <class producer>
void two_producers(benchmark::State& state, uint64_t events) {
  const wake_line<native_seam> wake;  // the one word that both read
  producer first(0, wake);
  producer second(1, wake);
  uint64_t times[2] = {};
  run_on_two_cpus(
      [&] {
        first.write(events / 10);
        times[0] = first.time(events);
      },
      [&] {
        second.write(events / 10);
        times[1] = second.time(events);
      });
  report(state, first.dropped + second.dropped, static_cast<double>(2 * events),
         static_cast<double>(std::max(times[0], times[1])));
}

template <class clock>
void add_with(const settings& with) {
  const uint64_t events = with.scale(500000);
  const std::string name = std::string("/") + clock::name;
  add_measured("parallel/floor/1" + name, [=](auto& state) { one_producer<floor_writer<clock>>(state, events); });
  add_measured("parallel/write/1" + name, [=](auto& state) { one_producer<writer<clock>>(state, events); });
  if (pick_cpus().available < 2) return;
  add_measured("parallel/floor/2" + name, [=](auto& state) { two_producers<floor_writer<clock>>(state, events); });
  add_measured("parallel/write/2" + name, [=](auto& state) { two_producers<writer<clock>>(state, events); });
}

}  // namespace

void add_parallel(const settings& with) {
  add_with<monotonic_clock>(with);
  add_with<counter_clock>(with);
}

}  // namespace sluice::bench
