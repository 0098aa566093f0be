// A driver in plain C, as it comes from a WDK project: it must compile as it is.
#include <ntddk.h>

DRIVER_INITIALIZE SimCDriverEntry;
static DRIVER_UNLOAD Unload;

#ifdef ALLOC_PRAGMA
#pragma alloc_text(INIT, SimCDriverEntry)
#endif
#pragma alloc_text(PAGE, Unload)

#define SIM_TAG 'CmiS'

typedef struct _SIM_EXTENSION {
  LIST_ENTRY List;
  KSPIN_LOCK Lock;
  PVOID Buffer;
} SIM_EXTENSION, *PSIM_EXTENSION;

C_ASSERT(sizeof(ULONG) == 4);

static PDEVICE_OBJECT SimDevice;

_Use_decl_annotations_ static VOID Unload(PDRIVER_OBJECT DriverObject) {
  PSIM_EXTENSION extension;
  UNREFERENCED_PARAMETER(DriverObject);
  PAGED_CODE();
  extension = (PSIM_EXTENSION)SimDevice->DeviceExtension;
  ExFreePoolWithTag(extension->Buffer, SIM_TAG);
  IoDeleteDevice(SimDevice);
}

_Use_decl_annotations_ NTSTATUS SimCDriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  NTSTATUS status;
  PSIM_EXTENSION extension;
  KIRQL irql;
  UNREFERENCED_PARAMETER(RegistryPath);
  status = IoCreateDevice(DriverObject, sizeof(SIM_EXTENSION), NULL, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN,
                          FALSE, &SimDevice);
  if (!NT_SUCCESS(status)) return status;
  extension = (PSIM_EXTENSION)SimDevice->DeviceExtension;
  InitializeListHead(&extension->List);
  KeInitializeSpinLock(&extension->Lock);
  extension->Buffer = ExAllocatePoolWithTag(NonPagedPoolNx, 100, SIM_TAG);
  if (extension->Buffer == NULL) {
    IoDeleteDevice(SimDevice);
    return STATUS_INSUFFICIENT_RESOURCES;
  }
  KeAcquireSpinLock(&extension->Lock, &irql);
  RtlZeroMemory(extension->Buffer, 100);
  KeReleaseSpinLock(&extension->Lock, irql);
  DriverObject->DriverUnload = Unload;
  return STATUS_SUCCESS;
}
