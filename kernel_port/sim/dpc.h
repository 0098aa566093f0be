// Deferred procedure calls: queued on a virtual CPU, run at DISPATCH_LEVEL owning it.
#pragma once

#include "kernel_port/sim/processor.h"

namespace sluice::sim {

// False if it is queued already. `fallback` is the CPU if the DPC has no target.
bool insert_dpc(KDPC& dpc, PVOID argument1, PVOID argument2, processor& fallback);
void stop_dpc_workers();
// A DPC of this driver that is still queued or running; null if none.
KDPC* find_dpc_of(const driver_record* driver);
// A DPC queued inside this memory.
KDPC* find_dpc_in(const void* start, size_t length);

}  // namespace sluice::sim
