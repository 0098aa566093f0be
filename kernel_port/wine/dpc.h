// DPC queues: one per virtual CPU, each served by a thread that holds its CPU at DISPATCH_LEVEL while a routine runs. Up to
// DISPATCH_LEVEL.
#pragma once

#include "kernel_port/wine/irql.h"

namespace sluice::wine {

// Once each; threads begin to run when the loader lets them.
void start_dpc_queues();
void start_timers();
bool queue_dpc(PKDPC dpc, PVOID first, PVOID second);
// Every routine that was queued before has returned. PASSIVE_LEVEL.
void flush_dpcs();
uint64_t dpcs_run();

}  // namespace sluice::wine
