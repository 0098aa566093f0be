// A driver that maps two pages of its own into whoever asks, one for reading and one for writing, and unmaps them at the latest
// when that process ends or closes the handle.
#pragma once

#include <ntifs.h>

#include <atomic>
#include <cstring>

#include "producers/user_mapping.h"

namespace sluice::test {

inline constexpr uint32_t mapper_tag = 'pamT';
inline constexpr uint32_t code_map_pages = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_BUFFERED, FILE_ANY_ACCESS);
inline constexpr uint32_t code_unmap_pages = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x802, METHOD_BUFFERED, FILE_ANY_ACCESS);

struct mapped_pages {
  uint64_t reading;
  uint64_t writing;
};

struct mapping_driver {
  char* memory = nullptr;  // both pages
  PMDL mdls[2] = {};
  PVOID views[2] = {};
  PFILE_OBJECT file = nullptr;
  PEPROCESS process = nullptr;
  FAST_MUTEX mutex{};
  std::atomic<uint32_t> ended{0};  // processes that ended with the pages mapped

  static mapping_driver& the() {
    static mapping_driver one;
    return one;
  }

  void release() {  // with the mutex
    KAPC_STATE before;
    KeStackAttachProcess(reinterpret_cast<PRKPROCESS>(process), &before);
    for (int i = 0; i < 2; ++i) {
      if (views[i] != nullptr) MmUnmapLockedPages(views[i], mdls[i]);
      views[i] = nullptr;
    }
    KeUnstackDetachProcess(&before);
    ObDereferenceObject(process);
    process = nullptr;
    file = nullptr;
  }

  NTSTATUS map(PFILE_OBJECT by, mapped_pages& where) {
    ExAcquireFastMutex(&mutex);
    NTSTATUS status = file != nullptr ? STATUS_SHARING_VIOLATION : STATUS_SUCCESS;
    if (NT_SUCCESS(status)) {
      file = by;
      process = PsGetCurrentProcess();
      ObReferenceObject(process);
      const ULONG flags[] = {NormalPagePriority | MdlMappingNoWrite | MdlMappingNoExecute, NormalPagePriority | MdlMappingNoExecute};
      for (int i = 0; i < 2 && NT_SUCCESS(status); ++i) status = sluice_map_locked_pages(mdls[i], flags[i], &views[i]);
      if (NT_SUCCESS(status)) {
        where = {reinterpret_cast<uint64_t>(views[0]), reinterpret_cast<uint64_t>(views[1])};
      } else {
        release();
      }
    }
    ExReleaseFastMutex(&mutex);
    return status;
  }

  static NTSTATUS done(PIRP irp, NTSTATUS status, ULONG_PTR bytes = 0) {
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = bytes;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
  }
  static NTSTATUS NTAPI nothing(PDEVICE_OBJECT, PIRP irp) { return done(irp, STATUS_SUCCESS); }
  static NTSTATUS NTAPI cleanup(PDEVICE_OBJECT, PIRP irp) {
    mapping_driver& self = the();
    ExAcquireFastMutex(&self.mutex);
    if (self.file == IoGetCurrentIrpStackLocation(irp)->FileObject) self.release();
    ExReleaseFastMutex(&self.mutex);
    return done(irp, STATUS_SUCCESS);
  }
  static NTSTATUS NTAPI control(PDEVICE_OBJECT, PIRP irp) {
    mapping_driver& self = the();
    const PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    if (stack->Parameters.DeviceIoControl.IoControlCode == code_unmap_pages) {
      ExAcquireFastMutex(&self.mutex);
      if (self.file == stack->FileObject) self.release();
      ExReleaseFastMutex(&self.mutex);
      return done(irp, STATUS_SUCCESS);
    }
    mapped_pages where{};
    if (stack->Parameters.DeviceIoControl.OutputBufferLength < sizeof where) return done(irp, STATUS_BUFFER_TOO_SMALL);
    const NTSTATUS status = self.map(stack->FileObject, where);
    if (NT_SUCCESS(status)) std::memcpy(irp->AssociatedIrp.SystemBuffer, &where, sizeof where);
    return done(irp, status, NT_SUCCESS(status) ? sizeof where : 0);
  }
  static VOID NTAPI process_notify(HANDLE, HANDLE pid, BOOLEAN created) {
    mapping_driver& self = the();
    if (created) return;
    ExAcquireFastMutex(&self.mutex);
    if (self.process != nullptr && PsGetProcessId(self.process) == pid) {
      self.release();
      ++self.ended;
    }
    ExReleaseFastMutex(&self.mutex);
  }

  static VOID NTAPI unload(PDRIVER_OBJECT driver) {
    mapping_driver& self = the();
    UNICODE_STRING link;
    RtlInitUnicodeString(&link, u"\\DosDevices\\Mapper");
    PsSetCreateProcessNotifyRoutine(&process_notify, TRUE);
    for (PMDL& mdl : self.mdls) IoFreeMdl(mdl);
    ExFreePoolWithTag(self.memory, mapper_tag);
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(driver->DeviceObject);
  }
  static NTSTATUS NTAPI entry(PDRIVER_OBJECT driver, PUNICODE_STRING) {
    mapping_driver& self = the();
    UNICODE_STRING name;
    RtlInitUnicodeString(&name, u"\\Device\\Mapper");
    UNICODE_STRING link;
    RtlInitUnicodeString(&link, u"\\DosDevices\\Mapper");
    PDEVICE_OBJECT device = nullptr;
    NTSTATUS status = IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(status)) return status;
    device->Flags |= DO_BUFFERED_IO;
    IoCreateSymbolicLink(&link, &name);
    driver->DriverUnload = &unload;
    driver->MajorFunction[IRP_MJ_CREATE] = driver->MajorFunction[IRP_MJ_CLOSE] = &nothing;
    driver->MajorFunction[IRP_MJ_CLEANUP] = &cleanup;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = &control;
    self.ended = 0;
    ExInitializeFastMutex(&self.mutex);
    self.memory = static_cast<char*>(ExAllocatePool2(POOL_FLAG_NON_PAGED, 2 * PAGE_SIZE, mapper_tag));
    for (int i = 0; i < 2; ++i) {
      self.mdls[i] = IoAllocateMdl(self.memory + i * PAGE_SIZE, PAGE_SIZE, FALSE, FALSE, nullptr);
      MmBuildMdlForNonPagedPool(self.mdls[i]);
    }
    return PsSetCreateProcessNotifyRoutine(&process_notify, FALSE);
  }
};

}  // namespace sluice::test
