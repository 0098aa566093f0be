// The NT kernel API of the simulated machine: what the WDK's <ntifs.h> is to a driver on Windows. Names,
// numbers and the layouts that drivers see are NT's (x64); a function does what the Windows documentation
// says, or stops the run with the bug check that Windows (or Driver Verifier) would give.
// docs/simulated-kernel.md says what is approximated.
//
// Callers hold a thread of the machine: an activity (kernel_port/sim/machine.h), a system thread, or a DPC.
// The IRQL each function allows stands beside its declaration.
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "simulated_nt/annotations.h"
// Order matters below this line: each file uses what those before it declare.
// clang-format off
#include "simulated_nt/types.h"
#include "simulated_nt/status.h"
#include "simulated_nt/interlocked.h"
#include "simulated_nt/lists.h"
#include "simulated_nt/kernel.h"
#include "simulated_nt/executive.h"
#include "simulated_nt/object.h"
#include "simulated_nt/security.h"
#include "simulated_nt/registry.h"
#include "simulated_nt/io_types.h"
#include "simulated_nt/io.h"
#include "simulated_nt/process.h"
#include "simulated_nt/memory.h"
#include "simulated_nt/runtime.h"
// clang-format on
