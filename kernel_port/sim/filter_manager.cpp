#include "kernel_port/sim/filter_manager.h"

#include <unistd.h>

#include <algorithm>

#include "kernel_port/sim/filter_callback.h"
#include "kernel_port/sim/implementation.h"

namespace sluice::sim {

thread_local PFLT_FILTER inside_callback_of = nullptr;

namespace {

USHORT size_of_registration(USHORT version) {
  switch (version) {
    case FLT_REGISTRATION_VERSION_0200: return FLT_REGISTRATION_SIZE_0200;
    case FLT_REGISTRATION_VERSION_0202: return FLT_REGISTRATION_SIZE_0202;
    case FLT_REGISTRATION_VERSION_0203: return FLT_REGISTRATION_SIZE_0203;
    default: return 0;
  }
}

USHORT newest_registration(kernel_level level) {
  if (level >= kernel_level::windows8) return FLT_REGISTRATION_VERSION_0203;
  return level >= kernel_level::vista ? FLT_REGISTRATION_VERSION_0202 : FLT_REGISTRATION_VERSION_0200;
}

[[noreturn]] void stop_waiting_for_ever(const void* what, const char* why) {
  stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x1000, as_argument(what), 0, 0, "%s", why);
}

}  // namespace

void filter_manager::start() {
  internal_lock lock(mutex_);
  started_ = true;
}

_FLT_FILTER& filter_manager::known(PFLT_FILTER filter, const char* function) {
  for (const auto& candidate : filters_) {
    if (candidate.get() == filter) return *candidate;
  }
  stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE1, as_argument(filter), 0, 0,
       "%s for a filter that is not registered.", function);
}

NTSTATUS filter_manager::register_filter(PDRIVER_OBJECT driver_object, const FLT_REGISTRATION& registration,
                                         PFLT_FILTER* filter) {
  machine::implementation& machine = the_machine();
  *filter = nullptr;
  if ((registration.Version & 0xff00) != FLT_MAJOR_VERSION ||
      registration.Version > newest_registration(machine.options.level) ||
      registration.Size != size_of_registration(registration.Version)) {
    return STATUS_INVALID_PARAMETER;
  }
  if (const NTSTATUS failed = machine.injected_failure(machine::failure::filter_registration); failed != STATUS_SUCCESS) return failed;
  driver_record* const driver = machine.devices.driver_of(driver_object);
  if (driver == nullptr) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE1, as_argument(driver_object), 0, 0,
         "FltRegisterFilter with something that is no driver object of this machine.");
  }
  internal_lock lock(mutex_);
  if (!started_) return STATUS_FLT_NOT_INITIALIZED;
  if (!machine.options.filter_instances_installed) return STATUS_OBJECT_NAME_NOT_FOUND;
  for (const auto& other : filters_) {
    if (other->driver == driver) return STATUS_OBJECT_NAME_COLLISION;  // a filter is named after its service
  }
  auto made = std::make_unique<_FLT_FILTER>();
  made->driver = driver;
  made->unload = registration.FilterUnloadCallback;
  made->instance_setup = registration.InstanceSetupCallback;
  KeInitializeEvent(&made->idle, NotificationEvent, TRUE);
  *filter = made.get();
  filters_.push_back(std::move(made));
  return STATUS_SUCCESS;
}

// The machine has one volume. What a filter that attaches would see of it is not modelled.
NTSTATUS filter_manager::start_filtering(PFLT_FILTER filter) {
  if (const NTSTATUS failed = the_machine().injected_failure(machine::failure::filtering_start); failed != STATUS_SUCCESS) return failed;
  {
    internal_lock lock(mutex_);
    if (known(filter, "FltStartFiltering").started) return STATUS_INVALID_PARAMETER;
    filter->started = true;
    callback_scope::enter(*filter);
  }
  NTSTATUS attached = STATUS_SUCCESS;
  if (filter->instance_setup != nullptr) {
    const FLT_RELATED_OBJECTS objects{sizeof(FLT_RELATED_OBJECTS), 0, filter, nullptr, nullptr, nullptr, nullptr};
    const callback_scope scope(filter, reinterpret_cast<const void*>(filter->instance_setup),
                               "An instance setup callback");
    attached = into_driver([&] {
      return filter->instance_setup(&objects, FLTFL_INSTANCE_SETUP_AUTOMATIC_ATTACHMENT, FILE_DEVICE_DISK_FILE_SYSTEM,
                                    FLT_FSTYPE_NTFS);
    });
  }
  internal_lock lock(mutex_);
  filter->instances = NT_SUCCESS(attached) ? 1 : 0;
  callback_scope::leave(*filter);
  return STATUS_SUCCESS;
}

void filter_manager::wait_until_idle(_FLT_FILTER& filter) {
  for (;;) {
    {
      internal_lock lock(mutex_);
      if (filter.running == 0) return;
      KeClearEvent(&filter.idle);
    }
    wait_for(filter.idle.Header);
  }
}

void filter_manager::unregister_filter(PFLT_FILTER filter) {
  {
    internal_lock lock(mutex_);
    if (known(filter, "FltUnregisterFilter").server_ports != 0) {
      stop_waiting_for_ever(filter, "FltUnregisterFilter with a server port open: it waits for the port, for ever.");
    }
    if (inside_callback_of == filter) {
      stop_waiting_for_ever(filter, "FltUnregisterFilter from inside a callback of the filter's port: it waits for ever.");
    }
  }
  wait_until_idle(*filter);  // connects that were on their way
  for (;;) {
    std::shared_ptr<port_connection> next;
    {
      const section inside(*this);
      for (const auto& connection : connections_) {
        if (connection->port.filter == filter && !connection->notified) next = connection;
      }
      if (next) sever(*next, STATUS_PORT_DISCONNECTED);
    }
    if (!next) break;
    notify_disconnect(next);
  }
  wait_until_idle(*filter);
  internal_lock lock(mutex_);
  for (const auto& connection : connections_) {
    if (connection->port.filter == filter && !connection->driver_closed) {
      stop_waiting_for_ever(&connection->port,
                            "FltUnregisterFilter with a client port that the disconnect callback did not close: it waits for ever.");
    }
  }
  std::erase_if(filters_, [filter](const auto& candidate) { return candidate.get() == filter; });
}

NTSTATUS filter_manager::build_descriptor(PSECURITY_DESCRIPTOR* descriptor, ACCESS_MASK access) {
  internal_lock lock(mutex_);
  descriptors_.push_back(std::make_unique<security_descriptor>(
      security_descriptor{self().driver, static_cast<uint32_t>(geteuid()), access}));
  *descriptor = descriptors_.back().get();
  return STATUS_SUCCESS;
}

void filter_manager::free_descriptor(PSECURITY_DESCRIPTOR descriptor) {
  internal_lock lock(mutex_);
  const auto freed = std::erase_if(descriptors_, [&](const auto& known) { return known.get() == descriptor; });
  if (freed == 0) {
    stop(bug::BAD_POOL_CALLER, 0x46, as_argument(descriptor), 0, 0,
         "FltFreeSecurityDescriptor of something that FltBuildDefaultSecurityDescriptor did not give, or that was freed.");
  }
}

NTSTATUS filter_manager::create_port(PFLT_FILTER filter, PFLT_PORT* port, const OBJECT_ATTRIBUTES& attributes,
                                     server_port routines) {
  *port = nullptr;
  if (const NTSTATUS failed = the_machine().injected_failure(machine::failure::port_creation); failed != STATUS_SUCCESS) return failed;
  if (attributes.ObjectName == nullptr || attributes.SecurityDescriptor == nullptr ||
      (attributes.Attributes & OBJ_KERNEL_HANDLE) == 0 || routines.connect == nullptr ||
      routines.disconnect == nullptr || routines.limit == 0) {
    return STATUS_INVALID_PARAMETER;
  }
  auto made = std::make_shared<server_port>(std::move(routines));
  made->name = text_of(attributes.ObjectName);
  made->ignore_case = (attributes.Attributes & OBJ_CASE_INSENSITIVE) != 0;
  if (!made->name.starts_with(u"\\")) return STATUS_OBJECT_PATH_SYNTAX_BAD;
  internal_lock lock(mutex_);
  known(filter, "FltCreateCommunicationPort");
  const auto descriptor = std::ranges::find_if(
      descriptors_, [&](const auto& candidate) { return candidate.get() == attributes.SecurityDescriptor; });
  if (descriptor == descriptors_.end()) return STATUS_INVALID_SECURITY_DESCR;
  made->descriptor = **descriptor;
  for (const auto& other : servers_) {
    if (other->name == made->name) return STATUS_OBJECT_NAME_COLLISION;
  }
  made->port = {filter, true};
  filter->server_ports += 1;
  *port = &made->port;
  servers_.push_back(std::move(made));
  return STATUS_SUCCESS;
}

void filter_manager::close_server_port(PFLT_PORT port) {
  internal_lock lock(mutex_);
  const auto found = std::ranges::find_if(servers_, [port](const auto& server) { return &server->port == port; });
  if (found == servers_.end()) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE1, as_argument(port), 0, 0,
         "FltCloseCommunicationPort of a port that is not open, or is no server port.");
  }
  port->filter->server_ports -= 1;
  servers_.erase(found);
}

void filter_manager::close_client_port(PFLT_FILTER filter, PFLT_PORT* port) {
  const section inside(*this);
  PFLT_PORT const closing = *port;
  *port = nullptr;
  if (closing == nullptr) return;
  const auto found =
      std::ranges::find_if(connections_, [closing](const auto& candidate) { return &candidate->port == closing; });
  if (found == connections_.end() || (*found)->driver_closed || closing->filter != filter) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE1, as_argument(closing), 0, 0,
         "FltCloseClientPort of a port that is closed already, or is no client port of this filter.");
  }
  const std::shared_ptr<port_connection> connection = *found;
  sever(*connection, STATUS_PORT_DISCONNECTED);
  connection->driver_closed = true;
  forget_if_gone(*connection);
}

// With the lock held.
void filter_manager::forget_if_gone(port_connection& connection) {
  if (!connection.driver_closed || !connection.notified) return;
  std::erase_if(connections_, [&](const auto& known) { return known.get() == &connection; });
}

// With the lock held.
void filter_manager::sever(port_connection& connection, NTSTATUS getters) {
  if (connection.severed) return;
  connection.severed = true;
  for (const auto& message : connection.getters) finish(message, getters);
  connection.getters.clear();
  for (message_sender* sender : connection.senders) finish(*sender, STATUS_PORT_DISCONNECTED);
  connection.senders.clear();
  for (const auto& [id, sender] : connection.awaiting_reply) finish(*sender, STATUS_PORT_DISCONNECTED);
  connection.awaiting_reply.clear();
}

// Once per connection; it was severed before.
void filter_manager::notify_disconnect(const std::shared_ptr<port_connection>& connection) {
  {
    internal_lock lock(mutex_);
    if (connection->notified) return;
    connection->notified = true;
    callback_scope::enter(*connection->port.filter);
  }
  {
    const auto routine = connection->server->disconnect;
    const callback_scope scope(connection->port.filter, reinterpret_cast<const void*>(routine),
                               "A disconnect callback");
    into_driver([&] { routine(connection->cookie); });
  }
  internal_lock lock(mutex_);
  connection->server->connections -= 1;
  callback_scope::leave(*connection->port.filter);
  forget_if_gone(*connection);
}

NTSTATUS filter_manager::connect(const port_connect_request& request, std::shared_ptr<port_connection>& made) {
  const auto same = [](const server_port& server, std::u16string_view name) {
    if (!server.ignore_case) return server.name == name;
    const auto fold = [](char16_t unit) { return unit >= u'a' && unit <= u'z' ? char16_t(unit - 32) : unit; };
    return std::ranges::equal(server.name, name, {}, fold, fold);
  };
  if (request.context.size() > 0xffff) return STATUS_INVALID_PARAMETER;
  auto connection = std::make_shared<port_connection>();
  {
    internal_lock lock(mutex_);
    const auto found =
        std::ranges::find_if(servers_, [&](const auto& server) { return same(*server, request.name); });
    if (found == servers_.end()) return STATUS_OBJECT_NAME_NOT_FOUND;
    server_port& server = **found;
    if ((request.user != 0 && request.user != server.descriptor.owner) ||
        (server.descriptor.access & FLT_PORT_CONNECT) == 0) {
      return STATUS_ACCESS_DENIED;
    }
    if (server.connections == server.limit) return STATUS_CONNECTION_COUNT_LIMIT;
    server.connections += 1;
    connection->server = *found;
    connection->port = {server.port.filter, false};
    connection->pid = request.pid;
    connections_.push_back(connection);
    callback_scope::enter(*server.port.filter);
  }
  // The system's copy of the context, where no driver may expect alignment.
  const auto copy = std::make_unique<uint8_t[]>(request.context.size() + 1);
  std::ranges::copy(request.context, copy.get() + 1);
  PVOID cookie = nullptr;
  NTSTATUS status;
  {
    const server_port& server = *connection->server;
    const callback_scope scope(server.port.filter, reinterpret_cast<const void*>(server.connect),
                               "A connect callback");
    status = into_driver([&] {
      return server.connect(&connection->port, server.cookie, request.context.empty() ? nullptr : copy.get() + 1,
                            static_cast<ULONG>(request.context.size()), &cookie);
    });
  }
  const section inside(*this);
  callback_scope::leave(*connection->port.filter);
  if (NT_SUCCESS(status)) {
    connection->accepted = true;
    connection->cookie = cookie;
    made = connection;
  } else {
    sever(*connection, STATUS_PORT_DISCONNECTED);
    connection->notified = connection->driver_closed = true;
    connection->server->connections -= 1;
    forget_if_gone(*connection);
  }
  return status;
}

void filter_manager::disconnect(const std::shared_ptr<port_connection>& connection) {
  {
    const section inside(*this);
    sever(*connection, STATUS_CANCELLED);
  }
  notify_disconnect(connection);
}

void filter_manager::process_exited(uint32_t pid) {
  for (;;) {
    std::shared_ptr<port_connection> next;
    {
      internal_lock lock(mutex_);
      for (const auto& connection : connections_) {
        if (connection->pid == pid && connection->accepted && !connection->notified) next = connection;
      }
    }
    if (!next) return;
    disconnect(next);
  }
}

PFLT_FILTER filter_manager::filter_of(const driver_record* driver) {
  internal_lock lock(mutex_);
  for (const auto& filter : filters_) {
    if (filter->driver == driver) return filter.get();
  }
  return nullptr;
}

filter_manager::left_behind filter_manager::find_of(const driver_record* driver, bool any) {
  internal_lock lock(mutex_);
  for (const auto& filter : filters_) {
    if (any || filter->driver == driver) return {filter.get(), "a filter that is still registered"};
  }
  for (const auto& descriptor : descriptors_) {
    if (any || descriptor->driver == driver) return {descriptor.get(), "a security descriptor that was not freed"};
  }
  return {nullptr, nullptr};
}

uint64_t filter_manager::filter_count() {
  internal_lock lock(mutex_);
  return filters_.size();
}

uint64_t filter_manager::connection_count() {
  internal_lock lock(mutex_);
  return connections_.size();
}

uint64_t filter_manager::instance_count() {
  internal_lock lock(mutex_);
  uint64_t count = 0;
  for (const auto& filter : filters_) count += filter->instances;
  return count;
}

}  // namespace sluice::sim

using namespace sluice::sim;

extern "C" {

NTSTATUS FltRegisterFilter(PDRIVER_OBJECT Driver, const FLT_REGISTRATION* Registration, PFLT_FILTER* RetFilter) {
  require_irql_at_most(APC_LEVEL, "FltRegisterFilter");
  return the_machine().filters.register_filter(Driver, *Registration, RetFilter);
}

NTSTATUS FltStartFiltering(PFLT_FILTER Filter) {
  require_irql_at_most(APC_LEVEL, "FltStartFiltering");
  return the_machine().filters.start_filtering(Filter);
}

VOID FltUnregisterFilter(PFLT_FILTER Filter) {
  require_irql_at_most(APC_LEVEL, "FltUnregisterFilter");
  the_machine().filters.unregister_filter(Filter);
}

NTSTATUS FltBuildDefaultSecurityDescriptor(PSECURITY_DESCRIPTOR* SecurityDescriptor, ACCESS_MASK DesiredAccess) {
  require_irql_at_most(PASSIVE_LEVEL, "FltBuildDefaultSecurityDescriptor");
  if (const NTSTATUS failed = the_machine().injected_failure(machine::failure::default_descriptor); failed != STATUS_SUCCESS) return failed;
  return the_machine().filters.build_descriptor(SecurityDescriptor, DesiredAccess);
}

VOID FltFreeSecurityDescriptor(PSECURITY_DESCRIPTOR SecurityDescriptor) {
  require_irql_at_most(PASSIVE_LEVEL, "FltFreeSecurityDescriptor");
  the_machine().filters.free_descriptor(SecurityDescriptor);
}

NTSTATUS FltCreateCommunicationPort(PFLT_FILTER Filter, PFLT_PORT* ServerPort, POBJECT_ATTRIBUTES ObjectAttributes,
                                    PVOID ServerPortCookie, PFLT_CONNECT_NOTIFY ConnectNotifyCallback,
                                    PFLT_DISCONNECT_NOTIFY DisconnectNotifyCallback,
                                    PFLT_MESSAGE_NOTIFY MessageNotifyCallback, LONG MaxConnections) {
  require_irql_at_most(APC_LEVEL, "FltCreateCommunicationPort");
  server_port routines;
  routines.cookie = ServerPortCookie;
  routines.connect = ConnectNotifyCallback;
  routines.disconnect = DisconnectNotifyCallback;
  routines.message = MessageNotifyCallback;
  routines.limit = MaxConnections > 0 ? static_cast<uint32_t>(MaxConnections) : 0;
  return the_machine().filters.create_port(Filter, ServerPort, *ObjectAttributes, std::move(routines));
}

VOID FltCloseCommunicationPort(PFLT_PORT ServerPort) {
  require_irql_at_most(APC_LEVEL, "FltCloseCommunicationPort");
  the_machine().filters.close_server_port(ServerPort);
}

VOID FltCloseClientPort(PFLT_FILTER Filter, PFLT_PORT* ClientPort) {
  require_irql_at_most(APC_LEVEL, "FltCloseClientPort");
  the_machine().filters.close_client_port(Filter, ClientPort);
}
}
