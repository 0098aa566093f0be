// Loading and unloading drivers, and what they must not leave behind.
#include <stdio.h>

#include "kernel_port/sim/attachment.h"
#include "kernel_port/sim/implementation.h"
#include "kernel_port/sim/irp.h"
#include "kernel_port/sim/irql.h"
#include "kernel_port/sim/pageable_code.h"
#include "kernel_port/sim/paged_memory.h"

namespace sluice::sim {

driver_record* device_table::add_driver(std::string_view name) {
  internal_lock lock(mutex_);
  auto driver = std::make_unique<driver_record>();
  driver->name = name;
  driver->object_name = u"\\Driver\\" + std::u16string(name.begin(), name.end());
  driver->service_name = std::u16string(name.begin(), name.end());
  const auto string_over = [](std::u16string& text) {
    const auto bytes = static_cast<USHORT>(text.size() * sizeof(WCHAR));
    return UNICODE_STRING{bytes, bytes, reinterpret_cast<PWCH>(text.data())};
  };
  drivers_.reserve(drivers_.size() + 1);
  PDRIVER_OBJECT object = create_object<DRIVER_OBJECT>(driver_object_type);
  object->Type = IO_TYPE_DRIVER;
  object->Size = sizeof(DRIVER_OBJECT);
  object->DriverName = string_over(driver->object_name);
  object->DriverExtension = &driver->extension;
  driver->extension.DriverObject = object;
  driver->extension.ServiceKeyName = string_over(driver->service_name);
  for (PDRIVER_DISPATCH& function : object->MajorFunction) function = invalid_device_request;
  driver->object = object;
  drivers_.push_back(std::move(driver));
  return drivers_.back().get();
}

driver_record* device_table::find_driver(std::string_view name) {
  internal_lock lock(mutex_);
  for (auto& driver : drivers_) {
    if (driver->name == name) return driver.get();
  }
  return nullptr;
}

driver_record* device_table::driver_of(PDRIVER_OBJECT object) {
  internal_lock lock(mutex_);
  for (auto& driver : drivers_) {
    if (driver->object == object) return driver.get();
  }
  return nullptr;
}

void device_table::remove_driver(driver_record* driver) {
  internal_lock lock(mutex_);
  for (auto& [name, entry] : links_) {
    if (entry.driver == driver) entry.driver = nullptr;
  }
  dereference_object(driver->object);
  std::erase_if(drivers_, [driver](const auto& known) { return known.get() == driver; });
}

std::vector<std::string> device_table::driver_names() {
  internal_lock lock(mutex_);
  std::vector<std::string> names;
  for (const auto& driver : drivers_) names.push_back(driver->name);
  return names;
}

void require_nothing_left(driver_record& driver, const char* when) {
  machine::implementation& machine = the_machine();
  const auto unloaded_with = [&](const void* what, const char* kind) {
    stop(bug::DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS, as_argument(what), 0, as_argument(what),
         0, "Driver %s %s with %s left.", driver.name.c_str(), when, kind);
  };
  for (notify_registry* registry : {&machine.notify.process, &machine.notify.thread, &machine.notify.image}) {
    if (const void* routine = registry->find_of(&driver))
      unloaded_with(routine, "a registered notify routine");
  }
  if (const void* routine = machine.registry.find_of(&driver)) unloaded_with(routine, "a registered registry callback");
  if (const auto left = machine.filters.find_of(&driver); left.what != nullptr) {
    stop(bug::DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS, as_argument(left.what), 0, as_argument(left.what), 0,
         "Driver %s %s with %s.", driver.name.c_str(), when, left.kind);
  }
  if (const void* routine = machine.callbacks.find_of(&driver)) unloaded_with(routine, "a routine in a callback object");
  if (const void* routine = machine.changes.find_of(&driver)) unloaded_with(routine, "a processor change callback");
  if (const KTIMER* timer = machine.timers.find_of(&driver)) {
    stop(bug::TIMER_OR_DPC_INVALID, 0, as_argument(timer), 0, 0,
         "Driver %s %s with a timer that is still set.", driver.name.c_str(), when);
  }
  if (const KDPC* dpc = find_dpc_of(&driver)) {
    stop(bug::TIMER_OR_DPC_INVALID, 1, as_argument(dpc), 0, 0,
         "Driver %s %s with a DPC that is still queued.", driver.name.c_str(), when);
  }
  if (const void* routine = find_thread_of(&driver, false))
    unloaded_with(routine, "a system thread that still runs");
  if (PDEVICE_OBJECT device = machine.devices.find_of(&driver))
    unloaded_with(device, "a device that was not deleted");
  const auto pool = machine.pool.in_use(&driver);
  const uint64_t items = machine.work.items_of(&driver);
  if (pool.blocks + items != 0) {
    machine.pool.print(&driver, false);
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x62, as_argument(driver.name.c_str()), 0,
         pool.blocks + items, "Driver %s %s with %lu pool blocks (%lu bytes) and %lu work items not freed.",
         driver.name.c_str(), when, pool.blocks, pool.bytes, items);
  }
  if (const uint64_t names = machine.key_names.count_of(&driver); names != 0) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x62, as_argument(driver.name.c_str()), 0, names,
         "Driver %s %s with %lu key names of CmCallbackGetKeyObjectIDEx not released.", driver.name.c_str(), when, names);
  }
  machine.devices.links_left(driver);
}

NTSTATUS machine::load_driver(std::string_view name, PDRIVER_INITIALIZE entry) {
  implementation& state = *implementation_;
  if (state.devices.find_driver(name)) return STATUS_IMAGE_ALREADY_LOADED;
  if (const NTSTATUS failed = state.injected_failure(failure::driver_object); failed != STATUS_SUCCESS) return failed;
  const borrowed_thread system(state, system_pid);
  const std::u16string service(name.begin(), name.end());
  state.tree.imply(std::u16string(services_key) + service);
  const paged_string path(u"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\" + service);
  driver_record* driver = state.devices.add_driver(name);
  driver->object->DriverInit = entry;
  NTSTATUS status;
  {
    const initializing_driver with_its_code;
    driver_call checked(driver, reinterpret_cast<const void*>(entry), "DriverEntry");
    status = into_driver([&] { return entry(driver->object, path.get()); });
  }
  if (!NT_SUCCESS(status)) {
    require_nothing_left(*driver, "failed to load");
    state.devices.remove_driver(driver);
    return status;
  }
  state.devices.loaded(*driver);
  return status;
}

NTSTATUS machine::unload_driver(std::string_view name) {
  implementation& state = *implementation_;
  driver_record* driver = state.devices.find_driver(name);
  if (!driver) return STATUS_OBJECT_NAME_NOT_FOUND;
  const PDRIVER_UNLOAD unload = driver->object->DriverUnload;
  PFLT_FILTER const filter = state.filters.filter_of(driver);
  const PFLT_FILTER_UNLOAD_CALLBACK unload_filter = filter != nullptr ? filter->unload : nullptr;
  if (!unload && !unload_filter) return STATUS_INVALID_DEVICE_REQUEST;
  const borrowed_thread system(state, system_pid);
  if (!state.devices.begin_unload(*driver)) return STATUS_DEVICE_BUSY;
  // The filter manager puts its own unload routine in front of the driver's.
  if (unload_filter) {
    driver_call checked(driver, reinterpret_cast<const void*>(unload_filter), "A filter's unload callback");
    const NTSTATUS status = into_driver([&] { return unload_filter(0); });
    if (!NT_SUCCESS(status)) {
      state.devices.refuse_unload(*driver);
      return status;
    }
  }
  if (unload) {
    driver_call checked(driver, reinterpret_cast<const void*>(unload), "DriverUnload");
    into_driver([&] { unload(driver->object); });
  }
  require_nothing_left(*driver, "was unloaded");
  state.devices.remove_driver(driver);
  reap_system_threads();
  return STATUS_SUCCESS;
}

}  // namespace sluice::sim
