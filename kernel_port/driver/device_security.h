// Who may open a device: SYSTEM and the administrators, nobody else. By functions of NT 5.0; the WDK's IoCreateDeviceSecure does the same,
// out of a library that not every build has.
#pragma once

#include "kernel_port/nt/nt.h"

namespace sluice {

// PASSIVE_LEVEL, while DO_DEVICE_INITIALIZING stands: until then nobody could open it. On failure the device is as it was, open to
// everyone: do not go on with it. What the kernel answered; STATUS_SUCCESS.
[[nodiscard]] SLUICE_INIT_CODE _IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS restrict_to_administrators(PDEVICE_OBJECT device);

}  // namespace sluice
