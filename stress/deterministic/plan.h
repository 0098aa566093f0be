// What a deterministic run is, from its seed: the machine, the driver's options, who does how much, what goes wrong.
#pragma once

#include <optional>
#include <string>

#include "kernel_port/sim/machine.h"
#include "pipeline/region.h"

namespace sluice::stress {

struct failing_call {
  sim::machine::failure kind;
  uint32_t nth;
};

struct run_plan {
  uint64_t seed;
  uint32_t cpus;       // at the start
  uint32_t more_cpus;  // that are added while it runs
  uint32_t ring_bytes;
  uint32_t spare_bytes;
  uint32_t margin_microseconds;
  uint32_t overdue_milliseconds;
  uint32_t anchor_seconds;
  ring_mode mode;
  bool port;
  bool moves_counter;    // forth, back, and lets it stand
  bool suspends;
  bool filters;
  bool switches_types;   // off and on again, of the whole driver and of each client of the port
  bool reader_leaves;    // closes its handle while its reads pend, and comes back; without clients of the port: its queue would go with it
  uint32_t activities;
  uint32_t steps;        // of each activity
  uint32_t port_clients;
  std::optional<failing_call> at_start;  // in the first DriverEntry; the second one succeeds
  std::optional<failing_call> later;

  uint32_t all_cpus() const { return cpus + more_cpus; }
};

run_plan plan_of(uint64_t seed);
std::string text_of(const run_plan& plan);
sim::machine_options machine_options_of(const run_plan& plan);

}  // namespace sluice::stress
