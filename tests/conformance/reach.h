// How a client reaches the machine that a test runs: in this process, or as another process would, over its socket.
#pragma once

#include <memory>

#include "consumers/nt/system.h"
#include "kernel_port/sim/machine.h"

namespace sluice::test {

enum class reach_kind { in_process, by_socket };

class reach {
 public:
  virtual ~reach() = default;
  virtual std::shared_ptr<nt_system> system() = 0;
  virtual uint32_t pid() const = 0;  // of the client, to the machine
  // Handles that are open; one that was closed here may be open there for a while.
  virtual uint32_t handles() const = 0;
};

std::unique_ptr<reach> make_reach(reach_kind how, sim::machine& machine);

}  // namespace sluice::test
