// The simulated machine with the driver loaded: what every source of activity runs on.
#pragma once

#include <memory>
#include <string>

#include "consumers/tool/command_line.h"
#include "consumers/tool/session.h"
#include "kernel_port/driver/protocol.h"
#include "kernel_port/sim/machine.h"
#include "kernel_port/sim/memory_file.h"

namespace sluice::tool {

// Unloads and destroys in the right order; leaks of the driver are bug checks.
class running_driver {
 public:
  // Options that the driver reads are values of its service's Parameters key: this is the one place where
  // they are set. Throws source_error if the driver does not load.
  running_driver(const watch_options& options, PDRIVER_INITIALIZE entry);
  ~running_driver();
  running_driver(const running_driver&) = delete;
  running_driver& operator=(const running_driver&) = delete;

  sim::machine& machine() { return machine_; }
  // "N CPUs; rings of ..., notify routines: ...": for a session's title.
  std::string describe(const protocol::capabilities& about) const;
  // What the machine's kernel counted.
  raised_callbacks raised() const;

 private:
  std::unique_ptr<sim::memory_file> memory_;  // outlives the machine
  sim::machine machine_;
};

}  // namespace sluice::tool
