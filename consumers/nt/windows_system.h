// The kernel of this machine: on Windows (and in a Wine prefix) only.
//
// Devices are called as ntdll does, so statuses are the kernel's own. Ports are fltlib.dll's: it is looked for when the first port is
// connected, in the system's directory alone, and without it there are none (STATUS_NOT_SUPPORTED). fltlib gives HRESULTs, of which
// several statuses may become one: windows_status.h says which is taken. A wait ends at a tick of the system's clock (15.6 ms, unless
// somebody asked for shorter ones).
#pragma once

#include <memory>

#include "consumers/nt/system.h"

namespace sluice {

std::shared_ptr<nt_system> windows_system();

}  // namespace sluice
