// The registry as far as a driver reads its own parameters from it.
#include <algorithm>
#include <string>

#include "kernel_port/sim/check.h"
#include "kernel_port/sim/implementation.h"
#include "kernel_port/sim/object.h"

namespace sluice::sim {
namespace {

struct key_object {
  std::u16string* path;  // folded to lower case
};

void destroy_key(void* body) {
  delete static_cast<key_object*>(body)->path;
}

_OBJECT_TYPE key_object_type{"Key", destroy_key};

// ASCII only: service and value names are.
std::u16string folded(std::u16string_view text) {
  std::u16string result(text);
  std::transform(result.begin(), result.end(), result.begin(), [](char16_t unit) {
    return unit >= u'A' && unit <= u'Z' ? char16_t(unit - u'A' + u'a') : unit;
  });
  return result;
}

std::u16string folded(PUNICODE_STRING string) {
  return folded(std::u16string_view(string->Buffer, string->Length / sizeof(WCHAR)));
}

constexpr std::u16string_view services = u"\\registry\\machine\\system\\currentcontrolset\\services\\";
constexpr std::u16string_view parameters = u"\\parameters";

bool key_exists(const std::u16string& path) {
  if (!path.starts_with(services)) return false;
  const std::u16string_view rest = std::u16string_view(path).substr(services.size());
  if (rest.empty()) return false;
  if (rest.find(u'\\') == std::u16string_view::npos) return true;
  return std::ranges::any_of(machine::current().options().service_parameters,
                             [&](const service_parameter& parameter) {
                               return rest == folded(parameter.driver) + std::u16string(parameters);
                             });
}

}  // namespace
}  // namespace sluice::sim

using namespace sluice::sim;

extern "C" {

NTSTATUS ZwOpenKey(PHANDLE KeyHandle, ACCESS_MASK, POBJECT_ATTRIBUTES ObjectAttributes) {
  require_irql_at_most(PASSIVE_LEVEL, "ZwOpenKey");
  *KeyHandle = nullptr;
  std::u16string path;
  if (ObjectAttributes->RootDirectory != nullptr) {
    void* const root = the_machine().handles.reference(ObjectAttributes->RootDirectory);
    if (root == nullptr) return STATUS_INVALID_HANDLE;
    const bool is_key = header_of(root)->type == &key_object_type;
    if (is_key) path = *static_cast<key_object*>(root)->path + u"\\";
    dereference_object(root);
    if (!is_key) return STATUS_OBJECT_TYPE_MISMATCH;
  }
  path += folded(ObjectAttributes->ObjectName);
  if (!key_exists(path)) return STATUS_OBJECT_NAME_NOT_FOUND;
  key_object* const key = create_object<key_object>(key_object_type);
  key->path = new std::u16string(std::move(path));
  *KeyHandle = the_machine().handles.insert(key);
  dereference_object(key);
  return STATUS_SUCCESS;
}

NTSTATUS ZwQueryValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName,
                         KEY_VALUE_INFORMATION_CLASS KeyValueInformationClass, PVOID KeyValueInformation,
                         ULONG Length, PULONG ResultLength) {
  require_irql_at_most(PASSIVE_LEVEL, "ZwQueryValueKey");
  if (KeyValueInformationClass != KeyValuePartialInformation) return STATUS_INVALID_PARAMETER;
  void* const key = the_machine().handles.reference(KeyHandle);
  if (key == nullptr) return STATUS_INVALID_HANDLE;
  if (header_of(key)->type != &key_object_type) {
    dereference_object(key);
    return STATUS_OBJECT_TYPE_MISMATCH;
  }
  const std::u16string path = *static_cast<key_object*>(key)->path;
  dereference_object(key);

  const std::u16string name = folded(ValueName);
  for (const service_parameter& parameter : machine::current().options().service_parameters) {
    if (path != std::u16string(services) + folded(parameter.driver) + std::u16string(parameters)) continue;
    if (name != folded(parameter.name)) continue;
    constexpr ULONG fixed = offsetof(KEY_VALUE_PARTIAL_INFORMATION, Data);
    *ResultLength = fixed + sizeof(ULONG);
    if (Length < fixed) return STATUS_BUFFER_TOO_SMALL;
    auto* const information = static_cast<PKEY_VALUE_PARTIAL_INFORMATION>(KeyValueInformation);
    information->TitleIndex = 0;
    information->Type = REG_DWORD;
    information->DataLength = sizeof(ULONG);
    if (Length < fixed + sizeof(ULONG)) return STATUS_BUFFER_OVERFLOW;
    memcpy(information->Data, &parameter.value, sizeof(ULONG));
    return STATUS_SUCCESS;
  }
  return STATUS_OBJECT_NAME_NOT_FOUND;
}

}  // extern "C"
