// Synthetic load on the simulated kernel: producers on every virtual CPU raise processes, threads, images and registry
// operations, and write own events of load_driver, some at DISPATCH_LEVEL. Open loop: nobody waits for a reader, and what
// does not fit is dropped; unless they wait for room.
//
// start, stop and the destructor: one thread. counts: any thread.
#pragma once

#include <memory>

#include "kernel_port/sim/machine.h"
#include "kernel_port/sources/synthetic/load_shape.h"

namespace sluice::synthetic {

struct synthetic_options {
  double rate = 10'000;  // events a second, all producers together; 0: as fast as it goes
  activity_mix mix = {1, 4, 20, 25, 50};
  rhythm shape;
  size_distribution sizes;
  uint32_t producers_per_cpu = 1;
  double dispatch_share = 0.25;  // of own events: written at DISPATCH_LEVEL
  uint64_t seed = 1;
  bool waits_for_room = false;  // while half of its CPU's ring is taken: nothing is dropped, if the rest holds what producers make at once
};
inline constexpr uint32_t most_producers = 1024;

struct synthetic_counts {
  uint64_t made[activity_kinds] = {};
  uint64_t own_written = 0;        // own events that met a type switched on: the source's side of R3
  uint64_t at_dispatch_level = 0;  // of those
  uint64_t refused = 0;            // by the machine
  uint64_t late = 0;               // raised more than a millisecond after they were due
};

class synthetic_source {
 public:
  // The machine must have load_driver loaded, and outlive the source. Throws std::invalid_argument.
  synthetic_source(const synthetic_options& options, sim::machine& machine);
  ~synthetic_source();  // stops
  synthetic_source(const synthetic_source&) = delete;
  synthetic_source& operator=(const synthetic_source&) = delete;

  void start();
  // No event is made after it returns.
  void stop();
  synthetic_counts counts() const;

 private:
  class producer;
  const synthetic_options options_;
  sim::machine& machine_;
  std::vector<std::unique_ptr<producer>> producers_;
};

}  // namespace sluice::synthetic
