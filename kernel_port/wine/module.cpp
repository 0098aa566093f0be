// The substitute for fltmgr.sys in a Wine prefix. Test-only. A driver that imports the filter manager brings it along: this module
// is loaded and started before the driver's own imports are bound.
#include "kernel_port/wine/clock.h"
#include "kernel_port/wine/device.h"
#include "kernel_port/wine/dpc.h"
#include "kernel_port/wine/imports.h"
#include "kernel_port/wine/process_watch.h"

namespace sluice::wine {
namespace {

PDEVICE_OBJECT injection = nullptr;
PDEVICE_OBJECT bridge = nullptr;

NTSTATUS NTAPI dispatch(PDEVICE_OBJECT device, PIRP irp) {
  return device == injection ? dispatch_injection(irp) : dispatch_bridge(irp);
}

NTSTATUS NTAPI start_driver(PDRIVER_OBJECT driver, PUNICODE_STRING) {
  for (auto& each : driver->MajorFunction) each = &dispatch;
  const NTSTATUS status = start_injection(driver, injection);
  return NT_SUCCESS(status) ? start_bridge(driver, bridge) : status;
}

void start(PVOID self) {
  LdrAddRefDll(1, self);  // LDR_ADDREF_DLL_PIN: threads of ours run here until the process ends
  start_threads();
  start_clock();
  AddVectoredExceptionHandler(1, address_of(&on_exception));
  start_dpc_queues();
  start_timers();
  watch_loaded_drivers(self);
  UNICODE_STRING name = unicode_literal(u"\\Driver\\SluiceSubstitutes");
  const NTSTATUS status = IoCreateDriver(&name, &start_driver);
  if (!NT_SUCCESS(status)) DbgPrint("substitutes: no driver object: %x\n", status);
  start_process_watch();
}

}  // namespace
}  // namespace sluice::wine

extern "C" int WINAPI DllMain(PVOID self, ULONG reason, PVOID) {
  constexpr ULONG process_attach = 1, thread_detach = 3;
  if (reason == process_attach) sluice::wine::start(self);
  if (reason == thread_detach) sluice::wine::end_thread();
  return TRUE;
}
