// Memory of simulated processes, as the simulation itself reaches it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernel_port/sim/registry.h"

namespace sluice::sim {

void start_user_memory();
void stop_user_memory();

// Whether the address belongs to a process. Async-signal-safe.
bool is_user_address(const void* address);
// What a guarded copy does on NT: false, and what came before the fault is copied, if the memory cannot be
// read (written).
bool read_user_memory(void* to, const void* from, size_t bytes);
bool write_user_memory(void* to, const void* from, size_t bytes);

}  // namespace sluice::sim
