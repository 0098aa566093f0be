// Kernel memory in the address space of a process. On Windows the kernel *raises* where there is no room for the view: so the call
// is one function out of line, of the platform's making, like producers/user_memory.h: kernel_port/nt and kernel_port/sim.
#pragma once

#include "kernel_port/nt/nt.h"

// MmMapLockedPagesSpecifyCache(mdl, UserMode, MmCached, NULL, FALSE, priority) into the current process. `priority`: MM_PAGE_PRIORITY and
// MdlMapping* flags; NoWrite came with Windows 8, and a kernel before that ignores it. Up to APC_LEVEL. Where it raises: a failure, and
// `address` is as it was.
extern "C" _IRQL_requires_max_(APC_LEVEL)
NTSTATUS sluice_map_locked_pages(PMDL mdl, ULONG priority, PVOID* address);
