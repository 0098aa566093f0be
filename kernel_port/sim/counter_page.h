// The performance counter's relation to the host's monotonic clock, in one page that processes can share, as KUSER_SHARED_DATA is
// on Windows. The machine writes it; everybody else may only read. Nothing of the machine is needed to read it.
#pragma once

#include <time.h>

#include <atomic>
#include <cstdint>

namespace sluice::sim {

inline constexpr uint64_t counter_frequency = 10'000'000;

// Read and changed as one, or a thread that is held up between its two reads would see a step that was none. `version` is odd
// while it changes.
struct counter_page {
  std::atomic<uint32_t> version{0};
  uint32_t reserved = 0;
  std::atomic<uint64_t> offset{0};     // ticks; added to CLOCK_MONOTONIC in ticks
  std::atomic<uint64_t> stands_at{0};  // 0: it runs
};
static_assert(sizeof(counter_page) == 24 && std::atomic<uint64_t>::is_always_lock_free);
inline constexpr size_t counter_page_bytes = 4096;

inline uint64_t clock_ticks(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);  // by the vDSO: no system call
  return static_cast<uint64_t>(now.tv_sec) * counter_frequency + static_cast<uint64_t>(now.tv_nsec) / 100;
}

// `running` gives the clock that the counter goes by, in ticks.
template <class clock>
uint64_t read_counter(const counter_page& page, clock running) {
  for (;;) {
    const uint32_t version = page.version.load(std::memory_order_acquire);
    const uint64_t offset = page.offset.load(std::memory_order_acquire);
    const uint64_t stands_at = page.stands_at.load(std::memory_order_acquire);
    const uint64_t now = stands_at != 0 ? stands_at : running() + offset;
    if (version % 2 == 0 && page.version.load(std::memory_order_relaxed) == version) [[likely]] return now;
  }
}
inline uint64_t read_counter(const counter_page& page) {
  return read_counter(page, [] { return clock_ticks(CLOCK_MONOTONIC); });
}

}  // namespace sluice::sim
