// Devices of the substitutes' own: fltlib's counterpart and the injection device.
#pragma once

#include "kernel_port/wine/calls.h"

namespace sluice::wine {

inline NTSTATUS complete(PIRP irp, NTSTATUS status, ULONG_PTR bytes = 0) {
  irp->IoStatus.Status = status;
  irp->IoStatus.Information = bytes;
  IofCompleteRequest(irp, IO_NO_INCREMENT);
  return status;
}

// A named device with a link for programs. PASSIVE_LEVEL.
inline NTSTATUS create_device(PDRIVER_OBJECT driver, UNICODE_STRING name, UNICODE_STRING link, PDEVICE_OBJECT& device) {
  const NTSTATUS status = IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
  if (!NT_SUCCESS(status)) return status;
  device->Flags &= ~DO_DEVICE_INITIALIZING;
  return IoCreateSymbolicLink(&link, &name);
}

NTSTATUS start_injection(PDRIVER_OBJECT driver, PDEVICE_OBJECT& device);
NTSTATUS dispatch_injection(PIRP irp);
NTSTATUS start_bridge(PDRIVER_OBJECT driver, PDEVICE_OBJECT& device);
NTSTATUS dispatch_bridge(PIRP irp);

}  // namespace sluice::wine
