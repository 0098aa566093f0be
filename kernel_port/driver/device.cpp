// The device: open, read, control, close. SYSTEM and the administrators may open it, and names below it are judged as it is
// (FILE_DEVICE_SECURE_OPEN). Every field of a message is checked before it is used.
#include "kernel_port/driver/device_security.h"
#include "kernel_port/driver/sensor.h"

namespace sluice {
namespace {

template <class message>
NTSTATUS answer(const message& what, void* buffer, uint32_t out, uint32_t& written) {
  if (out < sizeof what) return STATUS_BUFFER_TOO_SMALL;
  copy_bytes(buffer, &what, sizeof what);
  written = sizeof what;
  return STATUS_SUCCESS;
}

// Read as one, beside others that exchange it.
PVOID load(PFILE_OBJECT volatile& handle) {
  return InterlockedCompareExchangePointer(reinterpret_cast<PVOID volatile*>(&handle), nullptr, nullptr);
}

constexpr UCHAR taken[] = {IRP_MJ_CREATE, IRP_MJ_CLEANUP,         IRP_MJ_CLOSE,
                           IRP_MJ_READ,   IRP_MJ_SET_INFORMATION, IRP_MJ_DEVICE_CONTROL};

// One image has one sensor: its device has one name. Written while no device of the driver can be open, or at the end, when none is
// any more; `others`, where requests go that are for another device of this driver, stays as it is after that.
struct {
  PDEVICE_OBJECT device;
  PDRIVER_DISPATCH others[IRP_MJ_MAXIMUM_FUNCTION + 1];
} requests;

}  // namespace

NTSTATUS sensor::create_device(PDRIVER_OBJECT driver) {
  PAGED_CODE();
  UNICODE_STRING name = unicode_literal(protocol::device_name);
  UNICODE_STRING link = unicode_literal(protocol::link_name);
  NTSTATUS status = IoCreateDevice(driver, sizeof(sensor*), &name, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE,
                                   &device_);
  if (!NT_SUCCESS(status)) {
    device_ = nullptr;
    return status;
  }
  *static_cast<sensor**>(device_->DeviceExtension) = this;
  device_->Flags |= DO_BUFFERED_IO;
  requests.device = device_;
  for (const UCHAR major : taken) {
    requests.others[major] = driver->MajorFunction[major];
    driver->MajorFunction[major] = &on_request;
  }
  status = restrict_to_administrators(device_);
  // Last: from here on others come by its name, and look at all of the above.
  if (NT_SUCCESS(status)) status = IoCreateSymbolicLink(&link, &name);
  if (!NT_SUCCESS(status)) remove_device();
  // DO_DEVICE_INITIALIZING stays until the I/O manager clears it: nobody opens a device whose driver may still fail to load.
  return status;
}

// The driver may go on without the sensor: its dispatch routines are its own again. Where it has put others over ours since, they stay;
// what they hand on goes where it would have gone.
void sensor::remove_device() {
  for (const UCHAR major : taken) {
    PDRIVER_DISPATCH& now = device_->DriverObject->MajorFunction[major];
    if (now == &on_request) now = requests.others[major];
  }
  requests.device = nullptr;
  IoDeleteDevice(device_);
  device_ = nullptr;
}

void sensor::delete_device() {
  if (device_ == nullptr) return;
  UNICODE_STRING link = unicode_literal(protocol::link_name);
  (void)IoDeleteSymbolicLink(&link);
  remove_device();
}

// Reads and controls may come at DISPATCH_LEVEL, of a kernel component; the I/O manager sends the rest at PASSIVE_LEVEL.
//
// Nothing of a handle can be set; but a program that reads the device as it would a file may truncate, seek or rename on its way. And the
// last handle is closed at IRP_MJ_CLEANUP, but a request of another thread that was on its way may come after that: what it has begun
// ends at IRP_MJ_CLOSE.
NTSTATUS NTAPI sensor::on_request(PDEVICE_OBJECT device, PIRP irp) {
  const IO_STACK_LOCATION& stack = *IoGetCurrentIrpStackLocation(irp);
  if (device != requests.device) return requests.others[stack.MajorFunction](device, irp);
  sensor& self = **static_cast<sensor**>(device->DeviceExtension);
  switch (stack.MajorFunction) {
    case IRP_MJ_READ: return self.read(irp, stack);
    case IRP_MJ_DEVICE_CONTROL: return self.device_control(irp, stack);
    case IRP_MJ_CLEANUP:
    case IRP_MJ_CLOSE: self.detach(stack.FileObject); break;
    default: break;
  }
  return complete(irp, STATUS_SUCCESS);
}

void sensor::detach(PFILE_OBJECT file) {
  worker_.cancel(file);
  mapping_.detach(file);
  if (load(reader_) != file) return;  // only its own end makes it another's
  worker_.detach_reader();
  worker_.cancel(file);  // once more: the worker may have had a read in hand, and have put it back
  InterlockedExchangePointer(reinterpret_cast<PVOID volatile*>(&reader_), nullptr);
  worker_.consumers().leave();
}

NTSTATUS sensor::read(PIRP irp, const IO_STACK_LOCATION& stack) {
  if (stack.Parameters.Read.Length < protocol::min_read_bytes) return complete(irp, STATUS_BUFFER_TOO_SMALL);
  if (load(reader_) != stack.FileObject) {
    if (!worker_.consumers().join()) return complete(irp, STATUS_SHARING_VIOLATION);  // the rings are mapped
    PVOID const reader =
        InterlockedCompareExchangePointer(reinterpret_cast<PVOID volatile*>(&reader_), stack.FileObject, nullptr);
    if (reader != nullptr) worker_.consumers().leave();
    if (reader != nullptr && reader != stack.FileObject) return complete(irp, STATUS_SHARING_VIOLATION);
  }
  // Before the request: what happens from now on is for this client.
  attach();
  worker_.read(irp);
  return STATUS_PENDING;
}

NTSTATUS sensor::device_control(PIRP irp, const IO_STACK_LOCATION& stack) {
  const auto& request = stack.Parameters.DeviceIoControl;
  if (request.IoControlCode == protocol::code_statistics) {
    worker_.query_statistics(irp);
    return STATUS_PENDING;
  }
  if (request.IoControlCode == protocol::code_copy_ring) {
    worker_.copy_ring(irp);
    return STATUS_PENDING;
  }
  if (mapping::handles(request.IoControlCode)) return mapping_.control(irp);
  uint32_t written = 0;
  const NTSTATUS status = control(request.IoControlCode, irp->AssociatedIrp.SystemBuffer, request.InputBufferLength,
                                  request.OutputBufferLength, written, nullptr);
  return complete(irp, status, written);
}

// A client that comes first ends the time in which nothing is recorded (HoldUntilAttach = 0).
void sensor::attach() {
  if (InterlockedExchange(&attached_, 1) == 0) channel_.allow_types(~uint64_t{0});
}

// Every control request, of the device and of the port. METHOD_BUFFERED: `buffer` is the system's, in and out, and may be null if
// both lengths are zero. `from`: the client on the port that asks; null: the device. The device's statistics go the other way
// above, since a dispatch routine may not wait; the answer is made by the same function.
NTSTATUS sensor::control(uint32_t code, void* buffer, uint32_t in, uint32_t out, uint32_t& written, client_stream* from) {
  switch (code) {
    case protocol::code_capabilities: return answer(capabilities(), buffer, out, written);
    case protocol::code_set_types: {
      if (in < sizeof(protocol::set_types)) return STATUS_INFO_LENGTH_MISMATCH;
      protocol::set_types request;
      copy_bytes(&request, buffer, sizeof request);
      return set_types(request);
    }
    case protocol::code_types: {
      uint32_t needed = 0;
      const NTSTATUS status = own_types_.copy_declarations(buffer, out, needed);
      if (NT_SUCCESS(status)) written = needed;
      return status;
    }
    case protocol::code_statistics: return worker_.statistics_now(buffer, out, written);
    case protocol::code_clients: return worker_.clients().copy_rows(port_.status(), buffer, out, written);
    case protocol::code_client_types: {
      if (from == nullptr) return STATUS_INVALID_DEVICE_REQUEST;
      if (in < sizeof(protocol::set_types)) return STATUS_INFO_LENGTH_MISMATCH;
      protocol::set_types request;
      copy_bytes(&request, buffer, sizeof request);
      if (request.version != protocol::version) return STATUS_REVISION_MISMATCH;
      if (request.reserved != 0) return STATUS_INVALID_PARAMETER;
      worker_.clients().set_types(*from, request.types);
      return STATUS_SUCCESS;
    }
    case protocol::code_client_row:
      if (from == nullptr) return STATUS_INVALID_DEVICE_REQUEST;
      return answer(worker_.clients().row(*from), buffer, out, written);
    case protocol::code_flush:
      if (from != nullptr) {
        worker_.clients().request_flush(*from);
      } else {
        worker_.flush();
      }
      return STATUS_SUCCESS;
    case protocol::code_set_filter:
    case protocol::code_clear_filter:
    case protocol::code_filter: return control_filter(code, buffer, in, out, written);
    case protocol::code_set_client_filter:
    case protocol::code_clear_client_filter:
    case protocol::code_client_filter: return control_client_filter(code, buffer, in, out, written, from);
    default: return STATUS_INVALID_DEVICE_REQUEST;
  }
}

// The buffer is the system's copy, which no process can reach. It is copied once more all the same before it is looked at: the
// filter keeps that copy.
NTSTATUS sensor::control_filter(uint32_t code, void* buffer, uint32_t in, uint32_t out, uint32_t& written) {
  // A kernel component may call from anywhere; a filter is compiled, and its former one waited for, at PASSIVE_LEVEL.
  if (KeGetCurrentIrql() != PASSIVE_LEVEL) return STATUS_INVALID_DEVICE_STATE;
  event_filter& filter = channel_.filter();
  if (code == protocol::code_filter) {
    return filter.read(buffer, out, written);
  }
  if (out < sizeof(filter_answer)) return STATUS_BUFFER_TOO_SMALL;  // before anything changes
  filter_answer result{};
  if (code == protocol::code_set_filter) {
    const NTSTATUS status = filter.set(buffer, in, result);
    if (!NT_SUCCESS(status)) return status;
  } else {
    filter.clear(result);
  }
  return answer(result, buffer, out, written);
}

// Over the port, so at PASSIVE_LEVEL. `buffer` is the driver's own copy.
NTSTATUS sensor::control_client_filter(uint32_t code, void* buffer, uint32_t in, uint32_t out, uint32_t& written,
                                       client_stream* from) {
  if (from == nullptr) return STATUS_INVALID_DEVICE_REQUEST;
  distribution& clients = worker_.clients();
  if (code == protocol::code_client_filter) return clients.read_filter(*from, buffer, out, written);
  if (out < sizeof(filter_answer)) return STATUS_BUFFER_TOO_SMALL;
  filter_check check{filter_error::none, 0};
  client_filter* next = nullptr;
  if (code == protocol::code_set_client_filter) {
    const uint64_t now = worker_.clock().anchor.counter;
    const NTSTATUS status = client_filter::create(functions_, channel_.filter(), now, buffer, in, check, next);
    if (!NT_SUCCESS(status)) return status;
  }
  if (check.error == filter_error::none) client_filter::destroy(clients.set_filter(*from, next));
  return answer(filter_answer{static_cast<uint32_t>(check.error), check.offset, 0}, buffer, out, written);
}

}  // namespace sluice
