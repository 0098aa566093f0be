// The driver: a sensor and nothing else.
#include "kernel_port/driver/sensor.h"

namespace {

sluice::sensor* the_sensor = nullptr;

}  // namespace

extern "C" {

DRIVER_UNLOAD DriverUnload;
DRIVER_INITIALIZE DriverEntry;

SLUICE_PAGED_CODE VOID NTAPI DriverUnload(PDRIVER_OBJECT) {
  PAGED_CODE();
  sluice::sensor::destroy(the_sensor);
  the_sensor = nullptr;
}

SLUICE_INIT_CODE NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path) {
  driver->DriverUnload = &DriverUnload;
  return sluice::sensor::create(driver, registry_path, the_sensor);
}

}  // extern "C"
