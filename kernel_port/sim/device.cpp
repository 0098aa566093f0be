#include "kernel_port/sim/device.h"

#include <stdio.h>

#include "kernel_port/sim/check.h"
#include "kernel_port/sim/implementation.h"

namespace sluice::sim {
namespace {

// Object names are compared without case; NT's tables beyond ASCII are not modelled.
std::u16string upper(std::u16string_view name) {
  std::u16string result(name);
  for (char16_t& letter : result) {
    if (letter >= u'a' && letter <= u'z') letter = static_cast<char16_t>(letter - u'a' + u'A');
  }
  return result;
}

// \??\X, \DosDevices\X and \DosDevices\Global\X are one name.
std::optional<std::u16string> dos_name(std::u16string_view name) {
  const std::u16string given = upper(name);
  for (std::u16string_view prefix :
       {u"\\DOSDEVICES\\GLOBAL\\", u"\\GLOBAL??\\", u"\\DOSDEVICES\\", u"\\??\\"}) {
    if (given.starts_with(prefix)) return given.substr(prefix.size());
  }
  return std::nullopt;
}

device_state& state_of(PDEVICE_OBJECT device) {
  return *static_cast<device_state*>(device->Reserved);
}

void destroy(PDEVICE_OBJECT device) {
  delete &state_of(device);
  device->Reserved = nullptr;
  dereference_object(device);
}

}  // namespace

device_table::~device_table() {
  for (auto& driver : drivers_) dereference_object(driver->object);
}

NTSTATUS device_table::create(PDRIVER_OBJECT driver_object, ULONG extension_size, PCUNICODE_STRING name,
                              DEVICE_TYPE type, ULONG characteristics, BOOLEAN exclusive,
                              PDEVICE_OBJECT* device) {
  if (const NTSTATUS failed = the_machine().injected_failure(machine::failure::device_creation); failed != STATUS_SUCCESS) return failed;
  internal_lock lock(mutex_);
  std::u16string upper_name;
  if (name) {
    upper_name = upper(text_of(name));
    if (!upper_name.starts_with(u"\\")) return STATUS_OBJECT_PATH_SYNTAX_BAD;
    if (names_.contains(upper_name)) return STATUS_OBJECT_NAME_COLLISION;
  }
  driver_record* owner = nullptr;
  for (auto& driver : drivers_) {
    if (driver->object == driver_object) owner = driver.get();
  }
  if (!owner) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE1, as_argument(driver_object), 0, 0,
         "IoCreateDevice with something that is no driver object of this machine.");
  }
  constexpr size_t alignment = MEMORY_ALLOCATION_ALIGNMENT;
  constexpr size_t size = (sizeof(DEVICE_OBJECT) + alignment - 1) & ~(alignment - 1);
  auto* created = static_cast<PDEVICE_OBJECT>(create_object(device_object_type, size + extension_size));
  created->Type = IO_TYPE_DEVICE;
  created->Size = static_cast<USHORT>(sizeof(DEVICE_OBJECT) + extension_size);
  created->DriverObject = driver_object;
  created->NextDevice = driver_object->DeviceObject;
  created->Flags = DO_DEVICE_INITIALIZING | (exclusive ? DO_EXCLUSIVE : 0);
  created->Characteristics = characteristics;
  created->DeviceExtension = extension_size ? reinterpret_cast<char*>(created) + size : nullptr;
  created->DeviceType = type;
  created->StackSize = 1;
  created->Reserved = new device_state{owner, upper_name, exclusive != FALSE};
  driver_object->DeviceObject = created;
  if (name) names_.emplace(upper_name, created);
  devices_ += 1;
  *device = created;
  return STATUS_SUCCESS;
}

void device_table::remove(PDEVICE_OBJECT device) {
  bool last = false;
  {
    internal_lock lock(mutex_);
    if (header_of(device)->magic != object_magic || header_of(device)->type != &device_object_type ||
        state_of(device).deleted) {
      stop(bug::DRIVER_VERIFIER_IOMANAGER_VIOLATION, 0x240, as_argument(device), 0, 0,
           "IoDeleteDevice of a device that was deleted already.");
    }
    PDEVICE_OBJECT* place = &device->DriverObject->DeviceObject;
    while (*place && *place != device) place = &(*place)->NextDevice;
    if (*place) *place = device->NextDevice;
    device->NextDevice = nullptr;
    names_.erase(state_of(device).name);
    state_of(device).deleted = true;
    devices_ -= 1;
    last = device->ReferenceCount == 0;
  }
  if (last) destroy(device);
}

NTSTATUS device_table::link(PCUNICODE_STRING link, PCUNICODE_STRING target) {
  if (const NTSTATUS failed = the_machine().injected_failure(machine::failure::symbolic_link); failed != STATUS_SUCCESS) return failed;
  const auto name = dos_name(text_of(link));
  if (!name || name->empty()) return STATUS_OBJECT_PATH_NOT_FOUND;
  internal_lock lock(mutex_);
  const bool fresh = links_.try_emplace(*name, link_entry{upper(text_of(target)), self().driver}).second;
  return fresh ? STATUS_SUCCESS : STATUS_OBJECT_NAME_COLLISION;
}

NTSTATUS device_table::unlink(PCUNICODE_STRING link) {
  const auto name = dos_name(text_of(link));
  internal_lock lock(mutex_);
  return name && links_.erase(*name) ? STATUS_SUCCESS : STATUS_OBJECT_NAME_NOT_FOUND;
}

NTSTATUS device_table::open(std::u16string_view dos, uint32_t user, PDEVICE_OBJECT* device, std::u16string* rest) {
  const size_t end = dos.find(u'\\');
  *rest = end == std::u16string_view::npos ? std::u16string() : std::u16string(dos.substr(end));
  internal_lock lock(mutex_);
  const auto link = links_.find(upper(dos.substr(0, end)));
  if (link == links_.end()) return STATUS_OBJECT_NAME_NOT_FOUND;
  const auto name = names_.find(link->second.target);
  if (name == names_.end()) return STATUS_OBJECT_NAME_NOT_FOUND;
  PDEVICE_OBJECT found = name->second;
  device_state& state = state_of(found);
  // Once unloading has begun, and while the flag stands, there is no such device for anyone. DriverEntry may clear the flag itself:
  // then the device can be opened though it has not returned yet.
  if (state.deleted || state.driver->unloading || (found->Flags & DO_DEVICE_INITIALIZING)) return STATUS_NO_SUCH_DEVICE;
  // Names below it too: as with FILE_DEVICE_SECURE_OPEN, without which a driver would have to judge them itself.
  if (!grants(state.access, user, FILE_GENERIC_READ | FILE_GENERIC_WRITE)) return STATUS_ACCESS_DENIED;
  if (state.exclusive && found->ReferenceCount != 0) return STATUS_ACCESS_DENIED;
  found->ReferenceCount += 1;
  *device = found;
  return STATUS_SUCCESS;
}

void device_table::close(PDEVICE_OBJECT device) {
  bool last = false;
  {
    internal_lock lock(mutex_);
    device->ReferenceCount -= 1;
    last = device->ReferenceCount == 0 && state_of(device).deleted;
  }
  if (last) destroy(device);
}

void device_table::set_access(PDEVICE_OBJECT device, std::optional<access_list> list) {
  internal_lock lock(mutex_);
  state_of(device).access = std::move(list);
}

uint64_t device_table::device_count() {
  internal_lock lock(mutex_);
  return devices_;
}

uint64_t device_table::link_count() {
  internal_lock lock(mutex_);
  return links_.size();
}

bool device_table::has_open_handles(const driver_record& driver) {
  internal_lock lock(mutex_);
  for (PDEVICE_OBJECT device = driver.object->DeviceObject; device; device = device->NextDevice) {
    if (device->ReferenceCount != 0) return true;
  }
  return false;
}

void device_table::loaded(driver_record& driver) {
  internal_lock lock(mutex_);
  for (PDEVICE_OBJECT device = driver.object->DeviceObject; device; device = device->NextDevice) {
    device->Flags &= ~static_cast<ULONG>(DO_DEVICE_INITIALIZING);
  }
}

void device_table::refuse_unload(driver_record& driver) {
  internal_lock lock(mutex_);
  driver.unloading = false;
}

bool device_table::begin_unload(driver_record& driver) {
  internal_lock lock(mutex_);
  for (PDEVICE_OBJECT device = driver.object->DeviceObject; device; device = device->NextDevice) {
    if (device->ReferenceCount != 0) return false;
  }
  driver.unloading = true;
  return true;
}

PDEVICE_OBJECT device_table::find_of(const driver_record* driver, bool any) {
  internal_lock lock(mutex_);
  for (const auto& known : drivers_) {
    if ((any || known.get() == driver) && known->object->DeviceObject) return known->object->DeviceObject;
  }
  return nullptr;
}

void device_table::links_left(const driver_record& driver) {
  internal_lock lock(mutex_);
  for (const auto& [name, entry] : links_) {
    if (entry.driver != &driver) continue;
    std::string narrow(name.begin(), name.end());
    fprintf(stderr, "Simulated kernel: driver %s left the symbolic link %s behind.\n", driver.name.c_str(),
            narrow.c_str());
  }
}

}  // namespace sluice::sim

using namespace sluice::sim;

extern "C" {

NTSTATUS IoCreateDevice(PDRIVER_OBJECT DriverObject, ULONG DeviceExtensionSize, PUNICODE_STRING DeviceName,
                        DEVICE_TYPE DeviceType, ULONG DeviceCharacteristics, BOOLEAN Exclusive,
                        PDEVICE_OBJECT* DeviceObject) {
  require_irql_at_most(APC_LEVEL, "IoCreateDevice");
  return the_machine().devices.create(DriverObject, DeviceExtensionSize, DeviceName, DeviceType,
                                      DeviceCharacteristics, Exclusive, DeviceObject);
}

VOID IoDeleteDevice(PDEVICE_OBJECT DeviceObject) {
  require_irql_at_most(APC_LEVEL, "IoDeleteDevice");
  the_machine().devices.remove(DeviceObject);
}

NTSTATUS IoCreateSymbolicLink(PUNICODE_STRING SymbolicLinkName, PUNICODE_STRING DeviceName) {
  require_irql_at_most(PASSIVE_LEVEL, "IoCreateSymbolicLink");
  return the_machine().devices.link(SymbolicLinkName, DeviceName);
}

NTSTATUS IoDeleteSymbolicLink(PUNICODE_STRING SymbolicLinkName) {
  require_irql_at_most(PASSIVE_LEVEL, "IoDeleteSymbolicLink");
  return the_machine().devices.unlink(SymbolicLinkName);
}
}
