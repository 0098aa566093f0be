// What the benchmarks share: the clock, and memory for rings.
//
// The clock is clock_gettime(CLOCK_MONOTONIC), in nanoseconds: what the simulated kernel's KeQueryPerformanceCounter reads
// on Linux. It is the largest single cost of a write, so every figure stands beside a floor that reads it too.
#pragma once

#include <time.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "pipeline/cpu_rings.h"

namespace sluice::bench {

struct monotonic_clock {
  uint64_t now() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<uint64_t>(time.tv_sec) * 1000000000 + static_cast<uint64_t>(time.tv_nsec);
  }
};

inline constexpr uint16_t ordinary_type = 40;
inline constexpr ring_geometry main_geometry{1 << 20, 65536, 1 << 17};  // the driver's default ring: 1 MiB
inline constexpr ring_geometry spare_geometry{1 << 17, 65536, 0};

// The region of one lane.
class lane {
 public:
  lane(const ring_geometry& geometry, uint16_t cpu, uint8_t number)
      : memory_(std::aligned_alloc(region_page, region_bytes(geometry)), &std::free) {
    if (!memory_) throw std::bad_alloc();
    std::memset(memory_.get(), 0, region_bytes(geometry));
    view = create_region(memory_.get(), geometry, {1, 1000000000, cpu, number, 0});
  }
  region_view<native_seam> view;

 private:
  std::unique_ptr<void, decltype(&std::free)> memory_;
};

// One CPU that is written to.
template <class clock>
struct basic_cpu {
  explicit basic_cpu(clock source, uint16_t number, const ring_geometry& geometry = main_geometry)
      : main(geometry, number, lane_main), spare(spare_geometry, number, lane_spare), rings(source) {
    rings.attach(main.view, spare.view, 0);
  }
  lane main;
  lane spare;
  cpu_rings<native_seam, clock> rings;
};

}  // namespace sluice::bench
