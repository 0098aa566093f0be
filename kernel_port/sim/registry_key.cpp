// Keys as drivers use them: handles (Zw*), and what a callback may ask about a key object (Cm*).
#include <algorithm>
#include <string>

#include "kernel_port/sim/check.h"
#include "kernel_port/sim/implementation.h"
#include "kernel_port/sim/registry_callbacks.h"
#include "kernel_port/sim/registry_operations.h"
#include "kernel_port/sim/system_routine.h"

namespace sluice::sim {
namespace {

NTSTATUS open(PHANDLE handle, ACCESS_MASK access, POBJECT_ATTRIBUTES attributes, bool create,
              PULONG disposition) {
  *handle = nullptr;
  key_opening opening;
  opening.create = create;
  opening.name = text_of(attributes->ObjectName);
  opening.desired_access = access;
  if (attributes->RootDirectory != nullptr) {
    NTSTATUS status;
    opening.root = reference_key(attributes->RootDirectory, status);
    if (opening.root == nullptr) return status;
  }
  key_object* opened = nullptr;
  ULONG how = 0;
  const NTSTATUS status = open_key_object(opening, opened, how);
  if (opening.root != nullptr) dereference_object(opening.root);
  if (opened == nullptr) return status;
  if (disposition != nullptr) *disposition = how;
  *handle = the_machine().handles.insert(opened);
  dereference_object(opened);
  return status;
}

template <class Body>
NTSTATUS with_key(HANDLE handle, const char* function, Body&& body) {
  require_irql_at_most(PASSIVE_LEVEL, function);
  NTSTATUS status;
  key_object* const key = reference_key(handle, status);
  if (key == nullptr) return status;
  status = body(*key);
  dereference_object(key);
  return status;
}

key_object& require_key_object(PVOID object, const char* function) {
  if (object == invalid_key_object()) {
    stop(bug::PAGE_FAULT_IN_NONPAGED_AREA, as_argument(object), 0, 0, 2,
         "%s with the Object of a create or open that did not end with STATUS_SUCCESS: it is undefined.",
         function);
  }
  if (header_of(object)->magic != object_magic || header_of(object)->type != &key_object_type) {
    stop(bug::REFERENCE_BY_POINTER, as_argument(object), 0, 0, 0, "%s with an object that is no key.",
         function);
  }
  return *static_cast<key_object*>(object);
}

ULONG_PTR identifier_of(const key_object& key) {
  return std::hash<std::u16string>()(key.path) | 1;
}

// A name given out by CmCallbackGetKeyObjectIDEx, until it is released.
struct given_name {
  UNICODE_STRING string;  // first: the pointer that drivers hold
  paged_string text;
  explicit given_name(const std::u16string& path) : string{}, text(path) { string = *text.get(); }
};

}  // namespace

namespace late {

NTSTATUS CmRegisterCallbackEx(PEX_CALLBACK_FUNCTION Function, PCUNICODE_STRING Altitude, PVOID Driver,
                              PVOID Context, PLARGE_INTEGER Cookie, PVOID) {
  require_irql_at_most(APC_LEVEL, "CmRegisterCallbackEx");
  if (Altitude == nullptr || Driver == nullptr) return STATUS_INVALID_PARAMETER;
  return the_machine().registry.add(Function, Context, Altitude, Cookie);
}

NTSTATUS CmCallbackGetKeyObjectID(PLARGE_INTEGER Cookie, PVOID Object, PULONG_PTR ObjectID,
                                  PCUNICODE_STRING* ObjectName) {
  require_irql_at_most(APC_LEVEL, "CmCallbackGetKeyObjectID");
  key_object& key = require_key_object(Object, "CmCallbackGetKeyObjectID");
  if (!the_machine().registry.knows(Cookie->QuadPart)) return STATUS_INVALID_PARAMETER;
  if (const NTSTATUS failed = the_machine().injected_failure(machine::failure::name_query); failed != STATUS_SUCCESS) return failed;
  internal_lock lock(key.mutex);
  if (ObjectID != nullptr) *ObjectID = identifier_of(key);
  if (ObjectName != nullptr) {
    if (key.name == nullptr) key.name = std::make_unique<paged_string>(key.path);
    *ObjectName = key.name->get();
  }
  return STATUS_SUCCESS;
}

NTSTATUS CmCallbackGetKeyObjectIDEx(PLARGE_INTEGER Cookie, PVOID Object, PULONG_PTR ObjectID,
                                    PCUNICODE_STRING* ObjectName, ULONG Flags) {
  require_irql_at_most(APC_LEVEL, "CmCallbackGetKeyObjectIDEx");
  key_object& key = require_key_object(Object, "CmCallbackGetKeyObjectIDEx");
  if (Flags != 0 || !the_machine().registry.knows(Cookie->QuadPart)) return STATUS_INVALID_PARAMETER;
  internal_lock lock(key.mutex);
  if (ObjectID != nullptr) *ObjectID = identifier_of(key);
  if (ObjectName == nullptr) return STATUS_SUCCESS;
  *ObjectName = nullptr;
  if (const NTSTATUS failed = the_machine().injected_failure(machine::failure::pool_allocation); failed != STATUS_SUCCESS) return failed;
  auto* const name = new given_name(key.path);
  the_machine().key_names.gave(name, self().driver);
  *ObjectName = &name->string;
  return STATUS_SUCCESS;
}

VOID CmCallbackReleaseKeyObjectIDEx(PCUNICODE_STRING ObjectName) {
  require_irql_at_most(APC_LEVEL, "CmCallbackReleaseKeyObjectIDEx");
  if (!the_machine().key_names.took_back(ObjectName)) {
    stop(bug::BAD_POOL_CALLER, 0x46, as_argument(ObjectName), 0, 0,
         "CmCallbackReleaseKeyObjectIDEx of a name that was not given out, or was released already.");
  }
  delete reinterpret_cast<const given_name*>(ObjectName);
}

}  // namespace late
}  // namespace sluice::sim

using namespace sluice::sim;

extern "C" {

NTSTATUS CmRegisterCallback(PEX_CALLBACK_FUNCTION Function, PVOID Context, PLARGE_INTEGER Cookie) {
  require_irql_at_most(APC_LEVEL, "CmRegisterCallback");
  return the_machine().registry.add(Function, Context, nullptr, Cookie);
}

NTSTATUS CmUnRegisterCallback(LARGE_INTEGER Cookie) {
  require_irql_at_most(APC_LEVEL, "CmUnRegisterCallback");
  return the_machine().registry.remove(Cookie.QuadPart);
}

NTSTATUS ObQueryNameString(PVOID Object, POBJECT_NAME_INFORMATION ObjectNameInfo, ULONG Length,
                           PULONG ReturnLength) {
  require_irql_at_most(PASSIVE_LEVEL, "ObQueryNameString");
  const key_object& key = require_key_object(Object, "ObQueryNameString");
  const auto bytes = static_cast<USHORT>(std::min<size_t>(key.path.size() * sizeof(WCHAR), 0xfffc));
  *ReturnLength = static_cast<ULONG>(sizeof(OBJECT_NAME_INFORMATION) + bytes + sizeof(WCHAR));
  if (Length < *ReturnLength) return STATUS_INFO_LENGTH_MISMATCH;
  if (const NTSTATUS failed = the_machine().injected_failure(machine::failure::name_query); failed != STATUS_SUCCESS) return failed;
  ObjectNameInfo->Name = {bytes, static_cast<USHORT>(bytes + sizeof(WCHAR)),
                          reinterpret_cast<PWCH>(ObjectNameInfo + 1)};
  memcpy(ObjectNameInfo->Name.Buffer, key.path.data(), bytes);
  ObjectNameInfo->Name.Buffer[bytes / sizeof(WCHAR)] = 0;
  return STATUS_SUCCESS;
}

NTSTATUS ZwCreateKey(PHANDLE KeyHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes, ULONG,
                     PUNICODE_STRING, ULONG, PULONG Disposition) {
  require_irql_at_most(PASSIVE_LEVEL, "ZwCreateKey");
  return open(KeyHandle, DesiredAccess, ObjectAttributes, true, Disposition);
}

NTSTATUS ZwOpenKey(PHANDLE KeyHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes) {
  require_irql_at_most(PASSIVE_LEVEL, "ZwOpenKey");
  if (const NTSTATUS failed = the_machine().injected_failure(machine::failure::registry_read); failed != STATUS_SUCCESS) return failed;
  return open(KeyHandle, DesiredAccess, ObjectAttributes, false, nullptr);
}

NTSTATUS ZwSetValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName, ULONG, ULONG Type, PVOID Data,
                       ULONG DataSize) {
  return with_key(KeyHandle, "ZwSetValueKey", [&](key_object& key) {
    return set_key_value(key, text_of(ValueName), Type, Data, DataSize, {});
  });
}

NTSTATUS ZwDeleteValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName) {
  return with_key(KeyHandle, "ZwDeleteValueKey",
                  [&](key_object& key) { return delete_key_value(key, text_of(ValueName), {}); });
}

NTSTATUS ZwDeleteKey(HANDLE KeyHandle) {
  return with_key(KeyHandle, "ZwDeleteKey", [&](key_object& key) { return delete_key_object(key, {}); });
}

NTSTATUS ZwQueryValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName,
                         KEY_VALUE_INFORMATION_CLASS KeyValueInformationClass, PVOID KeyValueInformation,
                         ULONG Length, PULONG ResultLength) {
  if (KeyValueInformationClass != KeyValuePartialInformation) return STATUS_INVALID_PARAMETER;
  if (const NTSTATUS failed = the_machine().injected_failure(machine::failure::registry_read); failed != STATUS_SUCCESS) return failed;
  return with_key(KeyHandle, "ZwQueryValueKey", [&](key_object& key) -> NTSTATUS {
    registry_tree::value found;
    const NTSTATUS status = query_key_value(key, text_of(ValueName), found, {});
    if (status != STATUS_SUCCESS) return status;
    constexpr ULONG fixed = offsetof(KEY_VALUE_PARTIAL_INFORMATION, Data);
    const auto bytes = static_cast<ULONG>(found.data.size());
    *ResultLength = fixed + bytes;
    if (Length < fixed) return STATUS_BUFFER_TOO_SMALL;
    auto* const information = static_cast<PKEY_VALUE_PARTIAL_INFORMATION>(KeyValueInformation);
    information->TitleIndex = 0;
    information->Type = found.type;
    information->DataLength = bytes;
    if (Length < fixed + bytes) return STATUS_BUFFER_OVERFLOW;
    memcpy(information->Data, found.data.data(), bytes);
    return STATUS_SUCCESS;
  });
}

}  // extern "C"
