// The client's side of ports: the device that our fltlib.dll opens, one handle for each connection.
#include <cstring>
#include <vector>

#include "kernel_port/wine/device.h"
#include "kernel_port/wine/port.h"

namespace sluice::wine {
namespace {

constexpr ULONG process_access = 0x1fffff;
constexpr ULONG reserve_and_commit = 0x3000;
constexpr ULONG page_no_access = 0x01;
constexpr ULONG release_memory = 0x8000;

// With the lock held. Null: the handle has not connected, or no longer is.
std::shared_ptr<connection> connection_of(PFILE_OBJECT file) {
  for (const auto& each : connections()) {
    if (each.get() == file->FsContext) return each;
  }
  return nullptr;
}

std::shared_ptr<connection> connection_of(PIRP irp) {
  const locked held(ports_lock);
  return connection_of(IoGetCurrentIrpStackLocation(irp)->FileObject);
}

NTSTATUS connect(PIRP irp, const void* buffer, ULONG bytes) {
  connect_request request;
  if (bytes < sizeof request) return STATUS_INVALID_PARAMETER;
  std::memcpy(&request, buffer, sizeof request);
  if (request.context_bytes != bytes - sizeof request || request.name[63] != 0) return STATUS_INVALID_PARAMETER;
  PFILE_OBJECT const file = IoGetCurrentIrpStackLocation(irp)->FileObject;
  if (connection_of(irp) != nullptr) return STATUS_INVALID_PARAMETER;
  // On memory of its own: what the driver reads behind its end must not be there.
  std::vector<uint8_t> context(request.context_bytes);
  std::memcpy(context.data(), static_cast<const uint8_t*>(buffer) + sizeof request, context.size());
  const auto made = std::make_shared<connection>();
  {
    const locked held(ports_lock);
    made->server = find_server(request.name);
    if (made->server == nullptr) return STATUS_OBJECT_NAME_NOT_FOUND;
    if (made->server->connections >= made->server->limit) return STATUS_CONNECTION_COUNT_LIMIT;
    ++made->server->connections;
    connections().push_back(made);
    file->FsContext = made.get();
  }
  made->process = OpenProcess(process_access, FALSE, static_cast<ULONG>(reinterpret_cast<uintptr_t>(PsGetCurrentProcessId())));
  const NTSTATUS status = made->server->connect(made.get(), made->server->cookie, context.empty() ? nullptr : context.data(),
                                                static_cast<ULONG>(context.size()), &made->cookie);
  if (this_thread().irql != PASSIVE_LEVEL) report_violation("the connect callback returned at another IRQL");
  const locked held(ports_lock);
  if (NT_SUCCESS(status)) {
    made->taken = true;
  } else {
    --made->server->connections;
    connections().remove(made);
    file->FsContext = nullptr;
  }
  return status;
}

void NTAPI on_cancel(PDEVICE_OBJECT, PIRP irp) {
  IoReleaseCancelSpinLock(irp->CancelIrql);
  {
    const locked held(ports_lock);
    for (const auto& each : connections()) each->requests.remove(irp);
  }
  complete(irp, STATUS_CANCELLED);
}

NTSTATUS get_message(PIRP irp, ULONG room) {
  if (room < sizeof(message_header)) return complete(irp, STATUS_INVALID_PARAMETER);
  const std::shared_ptr<connection> from = connection_of(irp);
  if (from == nullptr) return complete(irp, STATUS_PORT_DISCONNECTED);
  {
    const locked held(ports_lock);
    if (!from->closed) {
      (void)IoSetCancelRoutine(irp, &on_cancel);
      if (!irp->Cancel || IoSetCancelRoutine(irp, nullptr) == nullptr) {
        IoMarkIrpPending(irp);
        from->requests.push_back(irp);
        SetEvent(from->changed);
        return STATUS_PENDING;
      }
    }
  }
  return complete(irp, from->closed ? STATUS_PORT_DISCONNECTED : STATUS_CANCELLED);
}

NTSTATUS reply(PIRP irp, const void* buffer, ULONG bytes) {
  reply_header header;
  if (bytes < sizeof header) return STATUS_INVALID_PARAMETER;
  std::memcpy(&header, buffer, sizeof header);
  const std::shared_ptr<connection> from = connection_of(irp);
  if (from == nullptr) return STATUS_PORT_DISCONNECTED;
  const uint32_t content = bytes - static_cast<uint32_t>(sizeof header);
  const locked held(ports_lock);
  for (reply_wait* each : from->replies) {
    if (each->id != header.id || each->status != STATUS_PENDING) continue;
    each->bytes = content < each->room ? content : each->room;
    std::memcpy(each->buffer, static_cast<const uint8_t*>(buffer) + sizeof header, each->bytes);
    each->status = content > each->room ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
    SetEvent(each->done);
    return STATUS_SUCCESS;
  }
  return STATUS_FLT_NO_WAITER_FOR_REPLY;
}

// The client's memory as the driver meets it: raw, and not readable where the client's is not.
class user_buffer {
 public:
  user_buffer(HANDLE process, uint64_t address, uint32_t bytes, bool fill) : bytes_(bytes) {
    if (bytes == 0) return;
    memory_.resize(bytes);
    SIZE_T moved = 0;
    auto* const there = reinterpret_cast<void*>(address);
    const bool readable = ReadProcessMemory(process, there, memory_.data(), bytes, &moved) && moved == bytes;
    if (!readable) unreadable_ = VirtualAlloc(nullptr, bytes, reserve_and_commit, page_no_access);
    if (!fill) std::memset(memory_.data(), 0, memory_.size());
  }
  ~user_buffer() {
    if (unreadable_ != nullptr) VirtualFree(unreadable_, 0, release_memory);
  }
  user_buffer(const user_buffer&) = delete;
  user_buffer& operator=(const user_buffer&) = delete;

  PVOID get() { return unreadable_ != nullptr ? unreadable_ : bytes_ != 0 ? memory_.data() : nullptr; }

 private:
  uint32_t bytes_;
  std::vector<uint8_t> memory_;
  PVOID unreadable_ = nullptr;
};

NTSTATUS send(PIRP irp, void* buffer, ULONG in_bytes, ULONG out_bytes, ULONG& written) {
  send_request request;
  if (in_bytes != sizeof request || out_bytes < sizeof(send_answer)) return STATUS_INVALID_PARAMETER;
  std::memcpy(&request, buffer, sizeof request);
  const std::shared_ptr<connection> to = connection_of(irp);
  if (to == nullptr || to->closed) return STATUS_PORT_DISCONNECTED;
  if (to->server->message == nullptr) return STATUS_INVALID_DEVICE_REQUEST;
  user_buffer in(to->process, request.in, request.in_bytes, true);
  user_buffer out(to->process, request.out, request.out_bytes, false);
  ULONG returned = 0;
  const NTSTATUS status =
      to->server->message(to->cookie, in.get(), request.in_bytes, out.get(), request.out_bytes, &returned);
  if (this_thread().irql != PASSIVE_LEVEL) report_violation("the message callback returned at another IRQL");
  if (returned > request.out_bytes) {
    report_violation("the message callback returned more than there is room for");
    returned = request.out_bytes;
  }
  SIZE_T moved = 0;
  if (returned != 0) WriteProcessMemory(to->process, reinterpret_cast<void*>(request.out), out.get(), returned, &moved);
  const send_answer answer{returned};
  std::memcpy(buffer, &answer, sizeof answer);
  written = sizeof answer;
  return status;
}

void close(PFILE_OBJECT file) {
  std::shared_ptr<connection> gone;
  {
    const locked held(ports_lock);
    gone = connection_of(file);
  }
  if (gone == nullptr) return;
  file->FsContext = nullptr;
  {
    const locked held(ports_lock);
    SetEvent(gone->changed);
  }
  notify_disconnect(gone);
  sever(*gone);
  if (gone->process != nullptr) CloseHandle(gone->process);
  gone->process = nullptr;
}

}  // namespace

NTSTATUS start_bridge(PDRIVER_OBJECT driver, PDEVICE_OBJECT& device) {
  return create_device(driver, unicode_literal(bridge_device_name), unicode_literal(bridge_link_name), device);
}

NTSTATUS dispatch_bridge(PIRP irp) {
  const PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
  if (stack->MajorFunction == IRP_MJ_CLOSE) close(stack->FileObject);
  if (stack->MajorFunction != IRP_MJ_DEVICE_CONTROL) return complete(irp, STATUS_SUCCESS);
  const auto& request = stack->Parameters.DeviceIoControl;
  void* const buffer = irp->AssociatedIrp.SystemBuffer;
  ULONG written = 0;
  switch (request.IoControlCode) {
    case bridge_connect: return complete(irp, connect(irp, buffer, request.InputBufferLength));
    case bridge_get_message: return get_message(irp, request.OutputBufferLength);
    case bridge_reply: return complete(irp, reply(irp, buffer, request.InputBufferLength));
    case bridge_send: {
      const NTSTATUS status = send(irp, buffer, request.InputBufferLength, request.OutputBufferLength, written);
      return complete(irp, status, written);
    }
    default: return complete(irp, STATUS_INVALID_DEVICE_REQUEST);
  }
}

}  // namespace sluice::wine
