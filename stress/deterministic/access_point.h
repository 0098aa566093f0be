// Where an access to a shared word becomes a point of the simulation's scheduler. For points/pipeline/ and the run.
#pragma once

#include <cstdint>

namespace sluice::stress {

// The n-th releasing store from now on is not made; 0: all are.
void leave_out_store(uint64_t nth);

}  // namespace sluice::stress
