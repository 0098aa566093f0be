// The one way to reach memory that a process may change or unmap at any time, and the only place in the
// library where a fault is legal. One function out of line, of the platform's making: kernel_port/nt
// (assembly with unwind data where the compiler has no __try) and kernel_port/sim.
#pragma once

#include "kernel_port/nt/nt.h"

// False: something of it could not be read; what `to` holds then is not to be used.
extern "C" _IRQL_requires_max_(APC_LEVEL)
bool sluice_copy_from_user_memory(void* to, const void* from, size_t bytes);
// False: something of it could not be written; what could is.
extern "C" _IRQL_requires_max_(APC_LEVEL)
bool sluice_copy_to_user_memory(void* to, const void* from, size_t bytes);

namespace sluice {

// Up to APC_LEVEL. `from` may also be system memory, paged too, that is valid. The kernel has probed what it
// hands to a callback, so this does not. Read once: what comes back is what is used.
[[nodiscard]] inline bool copy_from_user_memory(void* to, const void* from, size_t bytes) {
  return bytes == 0 || sluice_copy_from_user_memory(to, from, bytes);
}

// Up to APC_LEVEL. `to` was probed by whoever handed it out.
[[nodiscard]] inline bool copy_to_user_memory(void* to, const void* from, size_t bytes) {
  return bytes == 0 || sluice_copy_to_user_memory(to, from, bytes);
}

}  // namespace sluice
