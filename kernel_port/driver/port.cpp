#include "kernel_port/driver/port.h"

namespace sluice {
namespace {

port* the_port = nullptr;  // registered with the filter manager

constexpr int64_t first_retry = -1000000;     // 100 ms
constexpr int64_t slowest_retry = -100000000;  // 10 s

class default_descriptor {
 public:
  default_descriptor() : status_(FltBuildDefaultSecurityDescriptor(&descriptor_, FLT_PORT_ALL_ACCESS)) {}
  ~default_descriptor() {
    if (NT_SUCCESS(status_)) FltFreeSecurityDescriptor(descriptor_);
  }
  default_descriptor(const default_descriptor&) = delete;
  default_descriptor& operator=(const default_descriptor&) = delete;
  NTSTATUS status() const { return status_; }
  PSECURITY_DESCRIPTOR get() const { return descriptor_; }

 private:
  PSECURITY_DESCRIPTOR descriptor_ = nullptr;
  const NTSTATUS status_;
};

}  // namespace

void port::start(PDRIVER_OBJECT driver, const kernel_functions& functions, channel& events, worker& from,
                 const owner& whose) {
  PAGED_CODE();
  driver_ = driver;
  functions_ = &functions;
  channel_ = &events;
  worker_ = &from;
  owner_ = whose;
  KeInitializeEvent(&stopping_, NotificationEvent, FALSE);
  for (slot& place : slots_) place.owner = this;
  status_ = bring_up();
  if (status_ != STATUS_FLT_NOT_INITIALIZED) return;
  const NTSTATUS made = thread_.start(&run, this);
  if (!NT_SUCCESS(made)) status_ = made;
}

void port::stop() {
  PAGED_CODE();
  if (thread_.started()) {
    KeSetEvent(&stopping_, IO_NO_INCREMENT, FALSE);
    thread_.join();
  }
  take_down();
}

VOID NTAPI port::run(PVOID context) {
  static_cast<port*>(context)->wait_for_filter_manager();
  PsTerminateSystemThread(STATUS_SUCCESS);
}

void port::wait_for_filter_manager() {
  PAGED_CODE();
  LARGE_INTEGER interval;
  interval.QuadPart = first_retry;
  while (KeWaitForSingleObject(&stopping_, Executive, KernelMode, FALSE, &interval) == STATUS_TIMEOUT) {
    const NTSTATUS status = bring_up();
    InterlockedExchange(&status_, status);
    if (status != STATUS_FLT_NOT_INITIALIZED) return;
    interval.QuadPart = interval.QuadPart * 2 < slowest_retry ? slowest_retry : interval.QuadPart * 2;
  }
}

// On failure nothing is left.
NTSTATUS port::bring_up() {
  PAGED_CODE();
  // The oldest form: what later ones added, a filter without callbacks does not need.
  FLT_REGISTRATION registration{};
  registration.Size = FLT_REGISTRATION_SIZE_0200;
  registration.Version = FLT_REGISTRATION_VERSION_0200;
  registration.FilterUnloadCallback = &on_unload;
  registration.InstanceSetupCallback = &on_instance_setup;
  FLT_OPERATION_REGISTRATION no_operations[1] = {};
  no_operations[0].MajorFunction = IRP_MJ_OPERATION_END;
  registration.OperationRegistration = no_operations;
  NTSTATUS status = FltRegisterFilter(driver_, &registration, &filter_);
  if (!NT_SUCCESS(status)) {
    filter_ = nullptr;
    return status;
  }
  the_port = this;
  status = create_port();
  if (NT_SUCCESS(status)) status = FltStartFiltering(filter_);
  if (!NT_SUCCESS(status)) take_down();
  return status;
}

NTSTATUS port::create_port() {
  PAGED_CODE();
  const default_descriptor descriptor;
  if (!NT_SUCCESS(descriptor.status())) return descriptor.status();
  UNICODE_STRING name = unicode_literal(protocol::port_name);
  OBJECT_ATTRIBUTES attributes;
  InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, nullptr, descriptor.get());
  const NTSTATUS status = FltCreateCommunicationPort(filter_, &server_, &attributes, this, &on_connect, &on_disconnect,
                                                     &on_message, static_cast<LONG>(protocol::max_port_clients));
  if (!NT_SUCCESS(status)) server_ = nullptr;
  return status;
}

// The server port first: with it open the unregistering would wait for ever.
void port::take_down() {
  PAGED_CODE();
  if (server_ != nullptr) FltCloseCommunicationPort(server_);
  server_ = nullptr;
  if (filter_ != nullptr) FltUnregisterFilter(filter_);  // disconnects; waits for callbacks
  filter_ = nullptr;
  if (the_port == this) the_port = nullptr;
}

NTSTATUS NTAPI port::on_instance_setup(PCFLT_RELATED_OBJECTS, FLT_INSTANCE_SETUP_FLAGS, DEVICE_TYPE, FLT_FILESYSTEM_TYPE) {
  PAGED_CODE();
  return STATUS_FLT_DO_NOT_ATTACH;
}

// The rest of the driver stops in DriverUnload, which the filter manager calls afterwards.
NTSTATUS NTAPI port::on_unload(FLT_FILTER_UNLOAD_FLAGS) {
  PAGED_CODE();
  if (the_port != nullptr) the_port->stop();
  return STATUS_SUCCESS;
}

}  // namespace sluice
