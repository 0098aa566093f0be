// The filter manager's functions that a driver imports: filters, descriptors, server ports.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>

#include "kernel_port/wine/port.h"

namespace sluice::wine {
namespace {

std::set<PFLT_FILTER>& filters() {
  static auto* const made = new std::set<PFLT_FILTER>;
  return *made;
}
std::set<PSECURITY_DESCRIPTOR>& descriptors() {
  static auto* const made = new std::set<PSECURITY_DESCRIPTOR>;
  return *made;
}
std::list<std::shared_ptr<server_port>>& servers() {
  static auto* const made = new std::list<std::shared_ptr<server_port>>;
  return *made;
}

// With the lock held.
bool is_known(PFLT_FILTER filter) {
  if (filters().count(filter) != 0) return true;
  report_violation("a filter that is not registered");
  return false;
}

// The filter manager wants the service's key to name its instances.
bool has_instances(PDRIVER_OBJECT driver) {
  const UNICODE_STRING& service = driver->DriverExtension->ServiceKeyName;
  std::u16string path(reinterpret_cast<const char16_t*>(service.Buffer), service.Length / sizeof(char16_t));
  if (!path.starts_with(u"\\")) path = u"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\" + path;
  path += u"\\Instances";
  UNICODE_STRING name{static_cast<USHORT>(path.size() * 2), static_cast<USHORT>(path.size() * 2),
                      reinterpret_cast<PWCH>(path.data())};
  OBJECT_ATTRIBUTES attributes;
  InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE, nullptr, nullptr);
  HANDLE key = nullptr;
  if (!NT_SUCCESS(ZwOpenKey(&key, KEY_READ, &attributes))) return false;
  ZwClose(key);
  return true;
}

char16_t lower(char16_t c) { return c >= u'A' && c <= u'Z' ? static_cast<char16_t>(c + 32) : c; }

}  // namespace

lock ports_lock;

std::shared_ptr<server_port> find_server(std::u16string_view name) {
  for (const auto& each : servers()) {
    if (each->open && each->name.size() == name.size() &&
        std::equal(name.begin(), name.end(), each->name.begin(), [](char16_t a, char16_t b) { return lower(a) == lower(b); })) {
      return each;
    }
  }
  return nullptr;
}

void add_port_counters(injection_counters& to) {
  const locked held(ports_lock);
  to.filters = static_cast<uint32_t>(filters().size());
  to.ports = 0;
  for (const auto& each : servers()) to.ports += each->open;
  to.connections = 0;
  for (const auto& each : connections()) to.connections += each->taken && !each->closed;
}

}  // namespace sluice::wine

using namespace sluice::wine;

extern "C" {

NTSTATUS NTAPI FltRegisterFilter(PDRIVER_OBJECT driver, const FLT_REGISTRATION* registration, PFLT_FILTER* filter) {
  require_irql(PASSIVE_LEVEL, "FltRegisterFilter");
  const auto is = [&](USHORT version, USHORT bytes) {
    return registration->Version == version && registration->Size == bytes;
  };
  if (!is(FLT_REGISTRATION_VERSION_0200, FLT_REGISTRATION_SIZE_0200) &&
      !is(FLT_REGISTRATION_VERSION_0202, FLT_REGISTRATION_SIZE_0202) &&
      !is(FLT_REGISTRATION_VERSION_0203, FLT_REGISTRATION_SIZE_0203)) {
    return STATUS_INVALID_PARAMETER;
  }
  if (!has_instances(driver)) return STATUS_OBJECT_NAME_NOT_FOUND;
  auto* const made = new _FLT_FILTER{driver, {}, false};
  std::memcpy(&made->registration, registration, registration->Size);
  const locked held(ports_lock);
  filters().insert(made);
  *filter = made;
  return STATUS_SUCCESS;
}

NTSTATUS NTAPI FltStartFiltering(PFLT_FILTER filter) {
  require_irql(PASSIVE_LEVEL, "FltStartFiltering");
  const locked held(ports_lock);
  if (!is_known(filter) || filter->started) return STATUS_INVALID_PARAMETER;
  filter->started = true;
  return STATUS_SUCCESS;
}

VOID NTAPI FltUnregisterFilter(PFLT_FILTER filter) {
  require_irql(PASSIVE_LEVEL, "FltUnregisterFilter");
  std::list<std::shared_ptr<connection>> left;
  {
    const locked held(ports_lock);
    if (!is_known(filter)) return;
    for (const auto& each : servers()) {
      if (each->filter == filter && each->open) report_violation("FltUnregisterFilter with a server port open: it would hang");
    }
    for (const auto& each : connections()) {
      if (each->server->filter == filter) left.push_back(each);
    }
  }
  for (const auto& each : left) {
    sever(*each);
    notify_disconnect(each);
  }
  const locked held(ports_lock);
  servers().remove_if([&](const auto& each) { return each->filter == filter; });
  filters().erase(filter);
  delete filter;
}

NTSTATUS NTAPI FltBuildDefaultSecurityDescriptor(PSECURITY_DESCRIPTOR* descriptor, ACCESS_MASK) {
  require_irql(PASSIVE_LEVEL, "FltBuildDefaultSecurityDescriptor");
  *descriptor = std::malloc(1);
  const locked held(ports_lock);
  descriptors().insert(*descriptor);
  return STATUS_SUCCESS;
}

VOID NTAPI FltFreeSecurityDescriptor(PSECURITY_DESCRIPTOR descriptor) {
  require_irql(PASSIVE_LEVEL, "FltFreeSecurityDescriptor");
  const locked held(ports_lock);
  if (descriptors().erase(descriptor) == 0) {
    report_violation("a security descriptor freed that was not built");
    return;
  }
  std::free(descriptor);
}

NTSTATUS NTAPI FltCreateCommunicationPort(PFLT_FILTER filter, PFLT_PORT* port, POBJECT_ATTRIBUTES attributes, PVOID cookie,
                                          PFLT_CONNECT_NOTIFY connect, PFLT_DISCONNECT_NOTIFY disconnect,
                                          PFLT_MESSAGE_NOTIFY message, LONG limit) {
  require_irql(PASSIVE_LEVEL, "FltCreateCommunicationPort");
  const locked held(ports_lock);
  if (!is_known(filter) || connect == nullptr || disconnect == nullptr || limit < 1) return STATUS_INVALID_PARAMETER;
  if ((attributes->Attributes & OBJ_KERNEL_HANDLE) == 0) return STATUS_INVALID_PARAMETER;
  if (descriptors().count(attributes->SecurityDescriptor) == 0) return STATUS_INVALID_SECURITY_DESCR;
  auto made = std::make_shared<server_port>();
  made->name.assign(reinterpret_cast<const char16_t*>(attributes->ObjectName->Buffer),
                    attributes->ObjectName->Length / sizeof(char16_t));
  if (find_server(made->name) != nullptr) return STATUS_OBJECT_NAME_COLLISION;
  made->filter = filter;
  made->cookie = cookie;
  made->connect = connect;
  made->disconnect = disconnect;
  made->message = message;
  made->limit = limit;
  servers().push_back(made);
  *port = made.get();
  return STATUS_SUCCESS;
}

VOID NTAPI FltCloseCommunicationPort(PFLT_PORT port) {
  require_irql(PASSIVE_LEVEL, "FltCloseCommunicationPort");
  const locked held(ports_lock);
  for (const auto& each : servers()) {
    if (each.get() != port || !each->open) continue;
    each->open = false;
    return;
  }
  report_violation("a server port closed that is not open");
}

}  // extern "C"
