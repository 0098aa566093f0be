// Test-only: load.sys, a driver with events of its own at whatever rate a test asks for. The sensor and beside it a device that takes
// orders, by a structure of load_control.h:
//
//   load_thread   a system thread writes so many events, many in one section; ends the one before
//   load_timer    a timer DPC writes so many at each expiry, until told to stop
//   load_break    breaks a rule of the kernel, so that who watches the rules is seen to
#include "kernel_port/driver/sensor.h"
#include "kernel_port/wine/load_control.h"

namespace {

using namespace sluice;
using namespace sluice::wine;

constexpr field_declaration load_fields[] = {
    SLUICE_FIELD(load_event, sequence, field_kind::unsigned_integer),
    SLUICE_FIELD(load_event, source, field_kind::unsigned_integer),
    SLUICE_FIELD(load_event, check, field_kind::unsigned_integer),
};
constexpr own_type_definition load_type = {"load", 1, load_fields, sizeof load_fields / sizeof load_fields[0]};

struct {
  sensor* events;
  uint16_t type;
  PDEVICE_OBJECT device;
  KTIMER timer;
  KDPC dpc;
  load_order timer_order;
  LONG64 timer_sequence;
  PVOID thread;
  load_order thread_order;
  LONG stopping;  // the thread
  LONG threads_done;
  load_figures figures;
} driver;

bool write_one(const dispatch_section& section, uint64_t sequence, uint64_t source) {
  load_event event{};
  event.sequence = sequence;
  event.source = source;
  event.check = load_check(event);
  const bool written = driver.events->events().write(section, driver.type, 1, &event, sizeof event) == reserve_status::ok;
  InterlockedIncrement64(written ? &driver.figures.written : &driver.figures.dropped);
  return written;
}

// Events that find no room are not tried again: the thread waits, and goes on with the next.
VOID NTAPI write_by_thread(PVOID) {
  const load_order order = driver.thread_order;
  LARGE_INTEGER pause, until_there_is_room;
  pause.QuadPart = -1000;  // 100 us
  until_there_is_room.QuadPart = -10000;  // 1 ms: of a ring that holds many times that
  for (uint64_t sequence = 0; sequence < order.count && InterlockedCompareExchange(&driver.stopping, 0, 0) == 0;) {
    bool room = true;
    {
      const dispatch_section section;
      for (uint32_t i = 0; i < order.burst && room && sequence < order.count; ++i) {
        room = write_one(section, sequence++, load_thread);
      }
    }
    if (!room) {
      KeDelayExecutionThread(KernelMode, FALSE, &until_there_is_room);
    } else if (order.pause != 0) {
      KeDelayExecutionThread(KernelMode, FALSE, &pause);
    }
  }
  InterlockedIncrement(&driver.threads_done);
  PsTerminateSystemThread(STATUS_SUCCESS);
}

VOID NTAPI write_by_timer(PKDPC, PVOID, PVOID, PVOID) {
  const dispatch_section section;
  if (KeGetCurrentIrql() == DISPATCH_LEVEL) InterlockedIncrement64(&driver.figures.at_dispatch_level);
  for (uint32_t i = 0; i < driver.timer_order.burst; ++i) {
    (void)write_one(section, static_cast<uint64_t>(InterlockedIncrement64(&driver.timer_sequence)) - 1, load_timer);
  }
}

void end_thread() {
  if (driver.thread == nullptr) return;
  InterlockedExchange(&driver.stopping, 1);
  KeWaitForSingleObject(driver.thread, Executive, KernelMode, FALSE, nullptr);
  ObDereferenceObject(driver.thread);
  driver.thread = nullptr;
  InterlockedExchange(&driver.stopping, 0);
}

void stop_timer() {
  KeCancelTimer(&driver.timer);
  KeFlushQueuedDpcs();
}

NTSTATUS start_thread(const load_order& order) {
  end_thread();
  if (order.count == 0) return STATUS_SUCCESS;
  driver.thread_order = order;
  HANDLE handle = nullptr;
  OBJECT_ATTRIBUTES attributes;
  InitializeObjectAttributes(&attributes, nullptr, OBJ_KERNEL_HANDLE, nullptr, nullptr);
  NTSTATUS status = PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, &attributes, nullptr, nullptr, &write_by_thread, nullptr);
  if (!NT_SUCCESS(status)) return status;
  status = ObReferenceObjectByHandle(handle, SYNCHRONIZE, nullptr, KernelMode, &driver.thread, nullptr);
  ZwClose(handle);
  return status;
}

// Each is a bug that a driver can have; what the kernel would do about it is not waited for.
void break_rule(uint32_t which) {
  switch (which) {
    case load_break_wait: {
      KEVENT never;
      KeInitializeEvent(&never, NotificationEvent, FALSE);
      LARGE_INTEGER shortly;
      shortly.QuadPart = -1;
      const dispatch_section section;
      KeWaitForSingleObject(&never, Executive, KernelMode, FALSE, &shortly);
      break;
    }
    case load_break_level: {
      const dispatch_section section;
      UNICODE_STRING name = unicode_literal(u"nothing");
      (void)MmGetSystemRoutineAddress(&name);
      break;
    }
    case load_break_pool: {
      auto* const bytes = static_cast<uint8_t*>(ExAllocatePoolWithTag(NonPagedPool, 24, pool_tag));
      if (bytes == nullptr) break;
      static_cast<volatile uint8_t*>(bytes)[24] = 1;
      ExFreePoolWithTag(bytes, pool_tag);
      break;
    }
  }
}

NTSTATUS obey(PIRP irp) {
  const PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
  const auto& request = stack->Parameters.DeviceIoControl;
  if (request.IoControlCode == load_code_figures) {
    if (request.OutputBufferLength < sizeof driver.figures) return complete(irp, STATUS_BUFFER_TOO_SMALL);
    load_figures now = driver.figures;
    now.threads_done = InterlockedCompareExchange(&driver.threads_done, 0, 0);
    copy_bytes(irp->AssociatedIrp.SystemBuffer, &now, sizeof now);
    return complete(irp, STATUS_SUCCESS, sizeof driver.figures);
  }
  load_order order;
  if (request.IoControlCode != load_code_order || request.InputBufferLength != sizeof order) {
    return complete(irp, STATUS_INVALID_DEVICE_REQUEST);
  }
  copy_bytes(&order, irp->AssociatedIrp.SystemBuffer, sizeof order);
  switch (order.what) {
    case load_thread: return complete(irp, start_thread(order));
    case load_timer: {
      stop_timer();
      driver.timer_order = order;
      if (order.burst == 0) return complete(irp, STATUS_SUCCESS);
      LARGE_INTEGER due;
      due.QuadPart = -10000;
      KeSetTimerEx(&driver.timer, due, 1, &driver.dpc);
      return complete(irp, STATUS_SUCCESS);
    }
    case load_break: break_rule(static_cast<uint32_t>(order.count)); return complete(irp, STATUS_SUCCESS);
    default: return complete(irp, STATUS_INVALID_PARAMETER);
  }
}

// Of our own device: those of the sensor's go to the sensor.
NTSTATUS NTAPI dispatch(PDEVICE_OBJECT, PIRP irp) {
  const UCHAR major = IoGetCurrentIrpStackLocation(irp)->MajorFunction;
  return major == IRP_MJ_DEVICE_CONTROL ? obey(irp) : complete(irp, STATUS_SUCCESS);
}

NTSTATUS add_device(PDRIVER_OBJECT object) {
  UNICODE_STRING name = unicode_literal(load_device_name);
  UNICODE_STRING link = unicode_literal(load_link_name);
  NTSTATUS status = IoCreateDevice(object, 0, &name, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE, &driver.device);
  if (!NT_SUCCESS(status)) return status;
  status = IoCreateSymbolicLink(&link, &name);
  if (!NT_SUCCESS(status)) {
    IoDeleteDevice(driver.device);
    return status;
  }
  driver.device->Flags &= ~DO_DEVICE_INITIALIZING;
  return STATUS_SUCCESS;
}

}  // namespace

extern "C" {

DRIVER_UNLOAD DriverUnload;
DRIVER_INITIALIZE DriverEntry;

VOID NTAPI DriverUnload(PDRIVER_OBJECT) {
  end_thread();
  stop_timer();
  UNICODE_STRING link = unicode_literal(load_link_name);
  IoDeleteSymbolicLink(&link);
  IoDeleteDevice(driver.device);
  sensor::destroy(driver.events);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT object, PUNICODE_STRING registry_path) {
  object->DriverUnload = &DriverUnload;
  constexpr UCHAR ours[] = {IRP_MJ_CREATE, IRP_MJ_CLOSE, IRP_MJ_CLEANUP, IRP_MJ_DEVICE_CONTROL};
  for (const UCHAR major : ours) object->MajorFunction[major] = &dispatch;
  KeInitializeTimer(&driver.timer);
  KeInitializeDpc(&driver.dpc, &write_by_timer, nullptr);
  NTSTATUS status = sensor::create(object, registry_path, driver.events);
  if (!NT_SUCCESS(status)) return status;
  status = driver.events->types().register_type(load_type, driver.type);
  if (NT_SUCCESS(status)) status = add_device(object);
  if (!NT_SUCCESS(status)) sensor::destroy(driver.events);
  return status;
}

}  // extern "C"
