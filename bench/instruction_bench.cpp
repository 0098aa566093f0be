// How many instructions a write executes: each write runs under the processor's trap flag, which raises SIGTRAP after
// every instruction, and the handler counts. The floor (clock and copy, bench/write_bench.cpp) is counted the same way. The
// clock is the processor's own counter; both sides are functions that are called. `constant`: type and length are known when
// compiled, as they are where a driver writes an event of its own; otherwise the length is not.
#include <csignal>

#include <algorithm>
#include <vector>

#include "bench/suite.h"
#include "bench/support.h"
#include "pipeline/wake.h"

#if defined(__x86_64__)

namespace sluice::bench {
namespace {

constexpr uint32_t payload_length = 64;

volatile std::sig_atomic_t steps = 0;
void count_step(int) { steps = steps + 1; }

// The red zone below the stack pointer belongs to the compiler.
SLUICE_ALWAYS_INLINE void set_trap_flag() {
  __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; orq $0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp" ::: "memory", "cc");
}
SLUICE_ALWAYS_INLINE void clear_trap_flag() {
  __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; andq $~0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp" ::: "memory",
                   "cc");
}

template <class action>
SLUICE_NEVER_INLINE uint32_t count_steps(action& once) {
  steps = 0;
  set_trap_flag();
  once();
  clear_trap_flag();
  return static_cast<uint32_t>(steps);
}

class stepping {
 public:
  stepping() {
    struct sigaction act {};
    act.sa_handler = &count_step;
    sigaction(SIGTRAP, &act, &before_);
  }
  ~stepping() { sigaction(SIGTRAP, &before_, nullptr); }
  stepping(const stepping&) = delete;
  stepping& operator=(const stepping&) = delete;

 private:
  struct sigaction before_ {};
};

struct written_to {
  basic_cpu<counter_clock> on{counter_clock{}, 0};
  wake_line<native_seam> wake;
};

SLUICE_NEVER_INLINE uint32_t write_once(written_to& to, const uint8_t* payload, uint32_t length) {
  const reserve_status status = to.on.rings.write(ordinary_type, 1, payload, length);
  return static_cast<uint32_t>(status) | static_cast<uint32_t>(to.wake.after_close());
}

SLUICE_NEVER_INLINE uint32_t write_constant_once(written_to& to, const uint8_t* payload) {
  const reserve_status status = to.on.rings.write(ordinary_type, 1, payload, payload_length);
  return static_cast<uint32_t>(status) | static_cast<uint32_t>(to.wake.after_close());
}

SLUICE_NEVER_INLINE uint32_t floor_constant_once(uint8_t* to, const uint8_t* payload) {
  const uint64_t time = counter_clock().now();
  std::memcpy(to, &time, sizeof time);
  copy_bytes(to + record_header_size, payload, payload_length);
  return 0;
}

SLUICE_NEVER_INLINE uint32_t floor_once(uint8_t* to, const uint8_t* payload, uint32_t length) {
  const uint64_t time = counter_clock().now();
  std::memcpy(to, &time, sizeof time);
  copy_bytes(to + record_header_size, payload, length);
  return 0;
}

// Counts `times` calls, less what the counting itself executes.
template <class action>
void count_each(benchmark::State& state, uint64_t times, action&& once) {
  const stepping while_counting;
  const auto nothing = [] {};
  const uint32_t overhead = count_steps(nothing);
  std::vector<uint32_t> counts(times);
  for (uint32_t& each : counts) each = count_steps(once) - overhead;
  std::sort(counts.begin(), counts.end());
  uint64_t sum = 0;
  for (const uint32_t each : counts) sum += each;
  state.counters["usual"] = counts[times / 2];
  state.counters["mean"] = static_cast<double>(sum) / static_cast<double>(times);
  state.counters["most"] = counts.back();
}

// `once(to, payload)` writes; gives back what failed.
template <class action>
void count_write(benchmark::State& state, uint64_t times, action&& once) {
  written_to to;
  follower consumer(to.on.main.view);
  const std::vector<uint8_t> payload(payload_length, 7);
  uint32_t failed = 0;
  // A ring that has been gone round, so that room must be given back again and again.
  for (uint32_t i = 0; i < 20000; ++i, consumer.follow()) failed |= once(to, payload.data());
  count_each(state, times, [&] { failed |= once(to, payload.data()); });
  if (failed != 0) state.SkipWithError("an event was dropped");
}

template <class action>
void count_floor(benchmark::State& state, uint64_t times, action&& once) {
  std::vector<uint8_t> buffer(256);
  const std::vector<uint8_t> payload(payload_length, 7);
  uint32_t nothing = 0;
  count_each(state, times, [&] { nothing |= once(buffer.data(), payload.data()); });
  benchmark::DoNotOptimize(nothing);
}

}  // namespace

void add_instructions(const settings& with) {
  const uint64_t times = with.scale(300);
  static volatile uint32_t length = payload_length;
  add_once("instructions/floor", [times](auto& state) {
    count_floor(state, times, [](uint8_t* to, const uint8_t* payload) { return floor_once(to, payload, length); });
  });
  add_once("instructions/write", [times](auto& state) {
    count_write(state, times, [](written_to& to, const uint8_t* payload) { return write_once(to, payload, length); });
  });
  add_once("instructions/floor_constant", [times](auto& state) { count_floor(state, times, floor_constant_once); });
  add_once("instructions/write_constant", [times](auto& state) { count_write(state, times, write_constant_once); });
}

}  // namespace sluice::bench

#else

namespace sluice::bench {
void add_instructions(const settings&) {}  // there is no trap flag to count with
}  // namespace sluice::bench

#endif
