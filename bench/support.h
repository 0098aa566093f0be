// What the benchmarks share: the clocks, and memory for rings.
//
//   monotonic_clock   clock_gettime(CLOCK_MONOTONIC), nanoseconds: what the simulated kernel's KeQueryPerformanceCounter
//                     reads on Linux. The largest single cost of a write.
//   counter_clock     the processor's own counter, one instruction: what is left when the clock costs next to nothing.
#pragma once

#include <time.h>
#if defined(__x86_64__) || defined(__i386__)
#include <x86intrin.h>
#endif

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <numeric>

#include "pipeline/cpu_rings.h"

namespace sluice::bench {

inline uint64_t monotonic_nanoseconds() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1000000000 + static_cast<uint64_t>(time.tv_nsec);
}

SLUICE_ALWAYS_INLINE uint64_t read_counter() {
#if defined(__x86_64__) || defined(__i386__)
  return __rdtsc();
#elif defined(__aarch64__)
  uint64_t value;
  __asm__ volatile("mrs %0, cntvct_el0" : "=r"(value));
  return value;
#else
  return monotonic_nanoseconds();
#endif
}

// Measured once, over 50 ms.
inline double counter_ticks_per_nanosecond() {
  static const double ticks = [] {
    const uint64_t time = monotonic_nanoseconds();
    const uint64_t counter = read_counter();
    while (monotonic_nanoseconds() - time < 50000000) {
    }
    return static_cast<double>(read_counter() - counter) / static_cast<double>(monotonic_nanoseconds() - time);
  }();
  return ticks;
}

// The steps in which the counter moves, in its ticks: what divides every difference of two readings.
inline uint64_t counter_step() {
  uint64_t step = 0;
  uint64_t last = read_counter();
  for (int i = 0; i < 10000; ++i) {
    const uint64_t now = read_counter();
    step = std::gcd(step, now - last);
    last = now;
  }
  return step;
}

struct monotonic_clock {
  static constexpr const char* name = "monotonic";
  uint64_t now() { return monotonic_nanoseconds(); }
  static double nanoseconds(uint64_t ticks) { return static_cast<double>(ticks); }
};

struct counter_clock {
  static constexpr const char* name = "counter";
  SLUICE_ALWAYS_INLINE uint64_t now() { return read_counter(); }
  static double nanoseconds(uint64_t ticks) { return static_cast<double>(ticks) / counter_ticks_per_nanosecond(); }
};

inline constexpr uint16_t ordinary_type = 40;
inline constexpr ring_geometry main_geometry{1 << 20, 16384, 1 << 17};  // the driver's default ring: 1 MiB
inline constexpr ring_geometry spare_geometry{1 << 16, 16384, 0};

// The region of one lane.
class lane {
 public:
  lane(const ring_geometry& geometry, uint16_t cpu, uint8_t number, ring_mode mode = ring_mode::discard)
      : memory_(std::aligned_alloc(region_page, region_bytes(geometry)), &std::free) {
    if (!memory_) throw std::bad_alloc();
    std::memset(memory_.get(), 0, region_bytes(geometry));
    view = create_region(memory_.get(), geometry, {1, 1000000000, cpu, number, 0}, mode);
  }
  region_view<native_seam> view;

 private:
  std::unique_ptr<void, decltype(&std::free)> memory_;
};

// One CPU that is written to.
template <class clock>
struct basic_cpu {
  explicit basic_cpu(clock source, uint16_t number, const ring_geometry& geometry = main_geometry,
                     ring_mode mode = ring_mode::discard)
      : main(geometry, number, lane_main, mode), spare(spare_geometry, number, lane_spare, mode), rings(source) {
    rings.attach(main.view, spare.view, 0);
  }
  lane main;
  lane spare;
  cpu_rings<native_seam, clock> rings;
};

// A consumer that has read everything so far, in steps of a quarter of the ring: the ring never blocks what is measured,
// and giving that room back is part of what is measured.
class follower {
 public:
  explicit follower(const region_view<native_seam>& followed) : view_(followed) {}
  SLUICE_ALWAYS_INLINE void follow() {
    const uint32_t published = view_.producer->published.load(memory_order::relaxed);
    if (published - claimed_ < view_.geometry.capacity / 4) return;
    claimed_ = published;
    view_.consumer->consumed.store(claimed_, memory_order::release);
  }

 private:
  const region_view<native_seam> view_;
  uint32_t claimed_ = 0;
};

}  // namespace sluice::bench
