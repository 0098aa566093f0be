#include "kernel_port/wine/registry.h"

#include <array>
#include <atomic>
#include <cstring>
#include <string>

#include "kernel_port/wine/imports.h"
#include "kernel_port/wine/rules.h"

namespace sluice::wine {
namespace {

// A key as a callback meets it: an object that has a name, which is given out and taken back.
struct key_object {
  UNICODE_STRING name;
  std::atomic<int32_t> given_out{0};
};

struct callback {
  std::atomic<PEX_CALLBACK_FUNCTION> routine{nullptr};
  PVOID context = nullptr;
  uint64_t cookie = 0;
  WCHAR altitude[32] = {};
};

lock registration_lock;
std::array<callback, 8> callbacks;
uint64_t next_cookie = 1;
std::atomic<uint32_t> running{0};

NTSTATUS add(PEX_CALLBACK_FUNCTION routine, PCUNICODE_STRING altitude, PVOID context, PLARGE_INTEGER cookie) {
  const locked held(registration_lock);
  callback* place = nullptr;
  for (callback& each : callbacks) {
    if (each.routine.load() == nullptr) {
      place = &each;
      continue;
    }
    const size_t length = std::char_traits<WCHAR>::length(each.altitude) * sizeof(WCHAR);
    if (altitude != nullptr && altitude->Length == length && std::memcmp(altitude->Buffer, each.altitude, length) == 0) {
      return STATUS_FLT_INSTANCE_ALTITUDE_COLLISION;
    }
  }
  if (place == nullptr) return STATUS_INSUFFICIENT_RESOURCES;
  std::memset(place->altitude, 0, sizeof place->altitude);
  if (altitude != nullptr) {
    if (altitude->Length >= sizeof place->altitude) return STATUS_INVALID_PARAMETER;
    std::memcpy(place->altitude, altitude->Buffer, altitude->Length);
  }
  place->context = context;
  place->cookie = next_cookie++;
  cookie->QuadPart = static_cast<LONGLONG>(place->cookie);
  place->routine.store(routine);
  return STATUS_SUCCESS;
}

NTSTATUS NTAPI register_ex(PEX_CALLBACK_FUNCTION routine, PCUNICODE_STRING altitude, PVOID, PVOID context,
                           PLARGE_INTEGER cookie, PVOID) {
  return add(routine, altitude, context, cookie);
}
NTSTATUS NTAPI register_plain(PEX_CALLBACK_FUNCTION routine, PVOID context, PLARGE_INTEGER cookie) {
  return add(routine, nullptr, context, cookie);
}
NTSTATUS NTAPI unregister(LARGE_INTEGER cookie) {
  for (callback& each : callbacks) {
    if (each.routine.load() == nullptr || each.cookie != static_cast<uint64_t>(cookie.QuadPart)) continue;
    each.routine.store(nullptr);
    while (running.load() != 0) Sleep(1);
    return STATUS_SUCCESS;
  }
  return STATUS_INVALID_PARAMETER;
}

NTSTATUS NTAPI key_name(PLARGE_INTEGER, PVOID object, PULONG_PTR id, PCUNICODE_STRING* name, ULONG flags) {
  if (flags != 0) return STATUS_INVALID_PARAMETER;
  auto& key = *static_cast<key_object*>(object);
  if (id != nullptr) *id = reinterpret_cast<ULONG_PTR>(object);
  if (name != nullptr) {
    key.given_out.fetch_add(1);
    *name = &key.name;
  }
  return STATUS_SUCCESS;
}
void NTAPI release_key_name(PCUNICODE_STRING name) {
  auto* const key = CONTAINING_RECORD(const_cast<PUNICODE_STRING>(name), key_object, name);
  key->given_out.fetch_sub(1);
}

const kernel_function table[] = {
    {"CmRegisterCallbackEx", address_of(&register_ex), APC_LEVEL},
    {"CmRegisterCallback", address_of(&register_plain), APC_LEVEL},
    {"CmUnRegisterCallback", address_of(&unregister), APC_LEVEL},
    {"CmCallbackGetKeyObjectIDEx", address_of(&key_name), APC_LEVEL},
    {"CmCallbackReleaseKeyObjectIDEx", address_of(&release_key_name), APC_LEVEL},
};

// Calls all; `context_of` gives each callback its own place for what it keeps between the two calls.
template <class information, class prepare>
bool call_all(REG_NOTIFY_CLASS which, information& about, prepare&& for_each, NTSTATUS& worst) {
  bool called = false;
  running.fetch_add(1);
  for (size_t i = 0; i < callbacks.size(); ++i) {
    PEX_CALLBACK_FUNCTION const routine = callbacks[i].routine.load();
    if (routine == nullptr) continue;
    for_each(i);
    const NTSTATUS status = routine(callbacks[i].context, reinterpret_cast<PVOID>(uintptr_t{static_cast<uint32_t>(which)}), &about);
    if (!NT_SUCCESS(status)) worst = status;
    called = true;
    if (this_thread().irql != PASSIVE_LEVEL) report_violation("a registry callback returned at another IRQL");
  }
  running.fetch_sub(1);
  return called;
}

template <class information>
bool raise(information& before, PVOID& call_context, REG_NOTIFY_CLASS pre, REG_NOTIFY_CLASS post, PVOID object,
           NTSTATUS status, bool& refused) {
  std::array<PVOID, callbacks.size()> kept{};
  NTSTATUS worst = STATUS_SUCCESS;
  // Each callback's own context is what it left there itself.
  size_t last = callbacks.size();
  const auto keep = [&](size_t next) {
    if (last != callbacks.size()) kept[last] = call_context;
    call_context = nullptr;
    last = next;
  };
  const bool called = call_all(pre, before, keep, worst);
  keep(callbacks.size());
  refused = !NT_SUCCESS(worst);
  REG_POST_OPERATION_INFORMATION after{};
  after.Object = status == STATUS_SUCCESS ? object : nullptr;
  after.Status = refused ? worst : status;
  after.PreInformation = &before;
  NTSTATUS ignored = STATUS_SUCCESS;
  call_all(post, after, [&](size_t i) { after.CallContext = kept[i]; }, ignored);
  return called;
}

}  // namespace

bool raise_registry(const registry_operation& what, bool& refused) {
  key_object key{};
  if (what.key != nullptr) key.name = *what.key;
  ULONG disposition = REG_OPENED_EXISTING_KEY;
  bool called = false;
  switch (what.kind) {
    case injected_kind::registry_create_key:
    case injected_kind::registry_open_key: {
      const bool create = what.kind == injected_kind::registry_create_key;
      REG_CREATE_KEY_INFORMATION about{};
      about.CompleteName = what.key;
      about.DesiredAccess = KEY_READ;
      if (create) {
        disposition = REG_CREATED_NEW_KEY;
        about.Disposition = &disposition;
      }
      called = raise(about, about.CallContext, create ? RegNtPreCreateKeyEx : RegNtPreOpenKeyEx,
                     create ? RegNtPostCreateKeyEx : RegNtPostOpenKeyEx, &key, what.status, refused);
      break;
    }
    case injected_kind::registry_set_value: {
      REG_SET_VALUE_KEY_INFORMATION about{};
      about.Object = &key;
      about.ValueName = what.name;
      about.Type = what.value_type;
      about.Data = what.data;
      about.DataSize = what.data_bytes;
      called = raise(about, about.CallContext, RegNtPreSetValueKey, RegNtPostSetValueKey, &key, what.status, refused);
      break;
    }
    case injected_kind::registry_delete_key: {
      REG_DELETE_KEY_INFORMATION about{};
      about.Object = &key;
      called = raise(about, about.CallContext, RegNtPreDeleteKey, RegNtPostDeleteKey, &key, what.status, refused);
      break;
    }
    case injected_kind::registry_delete_value: {
      REG_DELETE_VALUE_KEY_INFORMATION about{};
      about.Object = &key;
      about.ValueName = what.name;
      called = raise(about, about.CallContext, RegNtPreDeleteValueKey, RegNtPostDeleteValueKey, &key, what.status, refused);
      break;
    }
    case injected_kind::registry_rename_key: {
      REG_RENAME_KEY_INFORMATION about{};
      about.Object = &key;
      about.NewName = what.name;
      called = raise(about, about.CallContext, RegNtPreRenameKey, RegNtPostRenameKey, &key, what.status, refused);
      break;
    }
    default: return false;
  }
  if (key.given_out.load() != 0) report_violation("a key's name was not released");
  return called;
}

std::span<const kernel_function> registry_functions() { return table; }

}  // namespace sluice::wine
