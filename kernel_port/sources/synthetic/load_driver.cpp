#include "kernel_port/sources/synthetic/load_driver.h"

#include "kernel_port/driver/sensor.h"

namespace sluice::synthetic {
namespace {

constexpr field_declaration fields[] = {
    SLUICE_FIELD(synthetic_event, sequence, field_kind::unsigned_integer),
    SLUICE_FIELD(synthetic_event, producer, field_kind::unsigned_integer),
    SLUICE_FIELD(synthetic_event, irql, field_kind::unsigned_integer),
};
constexpr own_type_definition definition = {"synthetic", 1, fields, 3};
constexpr uint8_t version = 1;

sensor* running = nullptr;
uint16_t type = 0;

// One for all: its content says nothing. Non-paged, as everything of a driver's data.
constexpr uint8_t filler[max_event_payload] = {};

}  // namespace

uint16_t event_type() { return type; }

bool has_room(uint32_t cpu) {
  const region_view<native_seam>& ring = running->events().region(cpu, lane_main);
  // relaxed: an estimate; whoever writes judges for himself
  const uint32_t taken =
      ring.producer->published.load(memory_order::relaxed) - ring.consumer->consumed.load(memory_order::relaxed);
  return taken <= ring.geometry.capacity / 2;
}

bool write_event(uint64_t sequence, uint32_t producer, uint32_t payload_bytes) {
  channel& events = running->events();
  if (!events.is_on(type)) return false;
  if (payload_bytes < sizeof(synthetic_event)) payload_bytes = sizeof(synthetic_event);
  if (payload_bytes > max_event_payload) payload_bytes = max_event_payload;
  const KIRQL irql = KeGetCurrentIrql();
  const synthetic_event event{sequence, producer, irql};
  if (irql >= DISPATCH_LEVEL && payload_bytes == sizeof event) {
    (void)events.write(type, version, &event, sizeof event);  // a drop is counted and announced
    return true;
  }
  // Below DISPATCH_LEVEL nobody may suspend the thread between the reservation and its end.
  if (irql < APC_LEVEL) KeEnterCriticalRegion();
  kernel_record record;
  uint32_t cpu = 0;
  if (events.reserve(type, version, payload_bytes, record, cpu) == reserve_status::ok) {
    uint8_t* const payload = static_cast<uint8_t*>(record.payload());
    copy_bytes(payload, &event, sizeof event);
    copy_bytes(payload + sizeof event, filler, payload_bytes - sizeof event);
    events.close(record, record_state::committed, cpu, type);
  }
  if (irql < APC_LEVEL) KeLeaveCriticalRegion();
  return true;
}

}  // namespace sluice::synthetic

extern "C" {

DRIVER_UNLOAD SyntheticDriverUnload;
DRIVER_INITIALIZE SyntheticDriverEntry;

VOID NTAPI SyntheticDriverUnload(PDRIVER_OBJECT) {
  PAGED_CODE();
  sluice::sensor::destroy(sluice::synthetic::running);
  sluice::synthetic::running = nullptr;
}

NTSTATUS NTAPI SyntheticDriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path) {
  using namespace sluice::synthetic;
  driver->DriverUnload = &SyntheticDriverUnload;
  NTSTATUS status = sluice::sensor::create(driver, registry_path, running);
  if (!NT_SUCCESS(status)) return status;
  status = running->types().register_type(definition, type);
  if (!NT_SUCCESS(status)) {
    sluice::sensor::destroy(running);
    running = nullptr;
  }
  return status;
}

}  // extern "C"
