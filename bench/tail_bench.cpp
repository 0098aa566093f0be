// How long the slowest of a thousand writes takes: every write of a repetition is timed by the processor's counter, from
// the end of the one before to its own.
//
// What interrupts the thread is not the write's doing. Each interrupt of this processor and each switch of this thread
// can have lengthened one sample at most; so as many of the longest samples are left out as the kernel counted of them
// during the repetition (/proc/interrupts, getrusage), no more. What a hypervisor takes from the processor is counted by
// nobody and stays in.
#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <vector>

#include "bench/suite.h"
#include "bench/support.h"
#include "bench/two_cpus.h"
#include "pipeline/wake.h"

namespace sluice::bench {
namespace {

struct disturbances {
  uint64_t timer = 0;     // local timer interrupts of this CPU
  uint64_t other = 0;     // every other interrupt of this CPU
  uint64_t switches = 0;  // of this thread, voluntary or not
};

disturbances count_disturbances(int cpu) {
  disturbances seen;
  std::ifstream file("/proc/interrupts");
  std::string line;
  std::getline(file, line);
  // The header names the columns: "CPU0 CPU1 ...".
  int column = -1;
  std::istringstream header(line);
  std::string name;
  for (int i = 0; header >> name; ++i) {
    if (name == "CPU" + std::to_string(cpu)) column = i;
  }
  while (column >= 0 && std::getline(file, line)) {
    std::istringstream fields(line);
    std::string label;
    fields >> label;
    uint64_t value = 0;
    for (int i = 0; i <= column && fields >> value; ++i) {
      if (i == column) (label == "LOC:" ? seen.timer : seen.other) += value;
    }
  }
  rusage used{};
  getrusage(RUSAGE_THREAD, &used);
  seen.switches = static_cast<uint64_t>(used.ru_nvcsw + used.ru_nivcsw);
  return seen;
}

// `samples` sorted; the value that `share` of them do not exceed.
double at(const std::vector<uint32_t>& samples, size_t count, double share) {
  const size_t index = static_cast<size_t>(static_cast<double>(count) * share);
  return counter_clock::nanoseconds(samples[std::min(index, count - 1)]);
}

// Times each call of `once`.
template <class action>
void time_each(benchmark::State& state, uint64_t count, action&& once) {
  const int cpu = pick_cpus().first;
  std::vector<uint32_t> samples(count, 1);  // touched: no page fault later
  for (uint64_t i = 0; i < count / 10 + 1; ++i) once();
  const disturbances before = count_disturbances(cpu);
  uint64_t last = read_counter();
  for (uint32_t& sample : samples) {
    once();
    const uint64_t now = read_counter();
    sample = static_cast<uint32_t>(now - last);
    last = now;
  }
  const disturbances after = count_disturbances(cpu);
  const uint64_t timer = after.timer - before.timer;
  const uint64_t other = after.other - before.other;
  const uint64_t switches = after.switches - before.switches;
  const size_t kept = count - std::min<uint64_t>(count - 1, timer + other + switches);
  std::sort(samples.begin(), samples.end());
  state.counters["p50"] = at(samples, kept, 0.5);
  state.counters["p90"] = at(samples, kept, 0.9);
  state.counters["p99"] = at(samples, kept, 0.99);
  state.counters["p99.9"] = at(samples, kept, 0.999);
  state.counters["p99.99"] = at(samples, kept, 0.9999);
  state.counters["longest"] = at(samples, kept, 1);
  state.counters["p99.9_with_all"] = at(samples, count, 0.999);
  state.counters["longest_with_all"] = at(samples, count, 1);
  state.counters["samples"] = static_cast<double>(count);
  state.counters["timer_interrupts"] = static_cast<double>(timer);
  state.counters["other_interrupts"] = static_cast<double>(other);
  state.counters["switches"] = static_cast<double>(switches);
}

constexpr ring_geometry small_geometry{1 << 17, 16384, 1 << 14};  // fits a core's own cache

template <class clock>
void tail_of_write(benchmark::State& state, uint64_t count, const ring_geometry& geometry = main_geometry) {
  const std::vector<uint8_t> payload(64, 7);
  basic_cpu<clock> on(clock{}, 0, geometry);
  wake_line<native_seam> wake;
  follower consumer(on.main.view);
  uint64_t dropped = 0;
  time_each(state, count, [&] {
    dropped += on.rings.write(ordinary_type, 1, payload.data(), 64) != reserve_status::ok;
    benchmark::DoNotOptimize(wake.after_close());
    consumer.follow();
  });
  if (dropped != 0) state.SkipWithError("an event was dropped");
}

template <class clock>
void tail_of_floor(benchmark::State& state, uint64_t count) {
  const std::vector<uint8_t> payload(64, 7);
  std::vector<uint8_t> buffer(main_geometry.capacity + main_geometry.max_record, 1);
  clock source;
  uint32_t position = 0;
  time_each(state, count, [&] {
    uint8_t* const to = buffer.data() + (position & (main_geometry.capacity - 1));
    const uint64_t time = source.now();
    std::memcpy(to, &time, sizeof time);
    copy_bytes(to + record_header_size, payload.data(), 64);
    benchmark::ClobberMemory();
    position += 80;
  });
}

template <class clock>
void add_with(const settings& with) {
  const uint64_t count = with.scale(500000);
  const std::string name = std::string("/") + clock::name;
  add_measured("tail/floor" + name, [count](auto& state) { tail_of_floor<clock>(state, count); });
  add_measured("tail/write" + name, [count](auto& state) { tail_of_write<clock>(state, count); });
  add_measured("tail/write_small" + name, [count](auto& state) { tail_of_write<clock>(state, count, small_geometry); });
}

}  // namespace

void add_tail(const settings& with) {
  add_with<monotonic_clock>(with);
  add_with<counter_clock>(with);
}

}  // namespace sluice::bench
