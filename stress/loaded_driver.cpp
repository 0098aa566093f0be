#include "stress/loaded_driver.h"

#include "stress/event.h"
#include "stress/report.h"

namespace sluice::stress {
namespace {

sensor* loaded_sensor = nullptr;

VOID destroy_sensor(PDRIVER_OBJECT) {
  sensor::destroy(loaded_sensor);
  loaded_sensor = nullptr;
}

NTSTATUS create_sensor(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path) {
  driver->DriverUnload = &destroy_sensor;
  return sensor::create(driver, registry_path, loaded_sensor);
}

}  // namespace

sensor* the_sensor() { return loaded_sensor; }

uint16_t load_driver(sim::machine& machine) {
  const NTSTATUS loaded = machine.load_driver("Sluice", &create_sensor);
  if (!NT_SUCCESS(loaded)) broken("set-up", no_cpu, "DriverEntry gave {:#x}", static_cast<uint32_t>(loaded));
  static constexpr field_declaration fields[] = {SLUICE_FIELD(event_head, writer, field_kind::unsigned_integer),
                                                 SLUICE_FIELD(event_head, sequence, field_kind::unsigned_integer)};
  uint16_t own_type = 0;
  const NTSTATUS registered = loaded_sensor->types().register_type({"stress", 1, fields, 2}, own_type);
  if (!NT_SUCCESS(registered)) broken("set-up", no_cpu, "register_type gave {:#x}", static_cast<uint32_t>(registered));
  return own_type;
}

void unload_driver(sim::machine& machine) {
  const NTSTATUS unloaded = machine.unload_driver("Sluice");
  if (!NT_SUCCESS(unloaded)) broken("device", no_cpu, "unloading gave {:#x}", static_cast<uint32_t>(unloaded));
}

}  // namespace sluice::stress
