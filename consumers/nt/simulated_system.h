// The simulated machine in this process, as process `pid` of it calls it.
#pragma once

#include "consumers/nt/system.h"
#include "kernel_port/sim/machine.h"

namespace sluice {

// The machine outlives it and its handles.
std::shared_ptr<nt_system> simulated_system(sim::machine& machine, uint32_t pid);

}  // namespace sluice
