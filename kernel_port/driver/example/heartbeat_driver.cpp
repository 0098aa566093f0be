// An example: a driver with events of its own, beside the library's. A timer DPC writes a "heartbeat" on whichever CPU it
// runs; process, thread and image events come from the sensor's notify routines.
#include "kernel_port/driver/sensor.h"

namespace {

// The event, as every client will see it: fixed width, no padding.
struct heartbeat_event {
  uint64_t sequence;
  uint32_t cpu;
  uint32_t missed;
};
static_assert(sizeof(heartbeat_event) == 16);

constexpr sluice::field_declaration heartbeat_fields[] = {
    SLUICE_FIELD(heartbeat_event, sequence, sluice::field_kind::unsigned_integer),
    SLUICE_FIELD(heartbeat_event, cpu, sluice::field_kind::unsigned_integer),
    SLUICE_FIELD(heartbeat_event, missed, sluice::field_kind::unsigned_integer),
};
constexpr sluice::own_type_definition heartbeat_type = {"heartbeat", 1, heartbeat_fields, 3};
constexpr LONG period_milliseconds = 10;

struct {
  sluice::sensor* sensor;
  uint16_t type;
  KTIMER timer;
  KDPC dpc;
  LONG64 sequence;  // interlocked: the DPC may run on two CPUs at once if one is slow
  LONG missed;
} driver;

// DISPATCH_LEVEL. A write that finds no room is counted and announced by the library; the driver may tell, too.
VOID NTAPI beat(PKDPC, PVOID, PVOID, PVOID) {
  const heartbeat_event event{static_cast<uint64_t>(InterlockedIncrement64(&driver.sequence)),
                              sluice::current_processor(), static_cast<uint32_t>(driver.missed)};
  if (driver.sensor->events().write(driver.type, 1, &event, sizeof event) != sluice::reserve_status::ok) {
    InterlockedIncrement(&driver.missed);
  }
}

}  // namespace

extern "C" {

DRIVER_UNLOAD DriverUnload;
DRIVER_INITIALIZE DriverEntry;

VOID NTAPI DriverUnload(PDRIVER_OBJECT) {
  PAGED_CODE();
  KeCancelTimer(&driver.timer);
  KeFlushQueuedDpcs();  // the DPC may be running, or queued by the timer's last expiry
  sluice::sensor::destroy(driver.sensor);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT object, PUNICODE_STRING registry_path) {
  object->DriverUnload = &DriverUnload;
  NTSTATUS status = sluice::sensor::create(object, registry_path, driver.sensor);
  if (!NT_SUCCESS(status)) return status;
  status = driver.sensor->types().register_type(heartbeat_type, driver.type);
  if (!NT_SUCCESS(status)) {
    sluice::sensor::destroy(driver.sensor);
    return status;
  }
  driver.sequence = 0;
  driver.missed = 0;
  KeInitializeTimer(&driver.timer);
  KeInitializeDpc(&driver.dpc, &beat, nullptr);
  LARGE_INTEGER due;
  due.QuadPart = -10000LL * period_milliseconds;
  KeSetTimerEx(&driver.timer, due, period_milliseconds, &driver.dpc);
  return STATUS_SUCCESS;
}

}  // extern "C"
