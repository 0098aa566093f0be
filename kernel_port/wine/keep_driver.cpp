// Test-only: keep.sys does nothing and cannot be unloaded. Wine ends the process of a driver with its last driver: this one keeps the
// substitutes alive, so that a test can ask them what an unloaded driver has left behind.
#include "kernel_port/nt/nt.h"

extern "C" DRIVER_INITIALIZE DriverEntry;
extern "C" NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT, PUNICODE_STRING) { return STATUS_SUCCESS; }
