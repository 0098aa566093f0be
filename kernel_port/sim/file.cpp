// file: a handle to a device, as a user process holds it.
#include <algorithm>

#include "kernel_port/sim/attachment.h"
#include "kernel_port/sim/implementation.h"
#include "kernel_port/sim/irp.h"

namespace sluice::sim {
namespace {

// How long requests may still be on their way back after IRP_MJ_CLEANUP.
constexpr auto cleanup_limit = std::chrono::seconds(5);

void give_system_buffer(io_request& request, size_t bytes) {
  if (bytes != 0) request.system_buffer.reset(new unsigned char[bytes]);
}

void prepare_read(io_request& request, ULONG device_flags, std::span<uint8_t> buffer) {
  IRP& irp = request.irp;
  request.stack.Parameters.Read.Length = static_cast<ULONG>(buffer.size());
  request.output_limit = buffer.size();
  irp.UserBuffer = buffer.data();
  if (device_flags & DO_BUFFERED_IO) {
    irp.AssociatedIrp.SystemBuffer = request.system_buffer.get();
  } else if (device_flags & DO_DIRECT_IO) {
    MDL& mdl = request.mdl;
    mdl.Size = sizeof(MDL);
    mdl.StartVa =
        reinterpret_cast<PVOID>(reinterpret_cast<uintptr_t>(buffer.data()) & ~uintptr_t{PAGE_SIZE - 1});
    mdl.ByteOffset = static_cast<ULONG>(reinterpret_cast<uintptr_t>(buffer.data()) & (PAGE_SIZE - 1));
    mdl.ByteCount = static_cast<ULONG>(buffer.size());
    mdl.MappedSystemVa = buffer.data();
    irp.MdlAddress = buffer.empty() ? nullptr : &mdl;
  }
}

void prepare_control(io_request& request, uint32_t code, std::span<const uint8_t> in, size_t out_bytes) {
  auto& parameters = request.stack.Parameters.DeviceIoControl;
  parameters.IoControlCode = code;
  parameters.InputBufferLength = static_cast<ULONG>(in.size());
  parameters.OutputBufferLength = static_cast<ULONG>(out_bytes);
  if (METHOD_FROM_CTL_CODE(code) == METHOD_NEITHER) {
    // The process's own addresses, unchecked: addresses that nobody has, since no driver here may touch them.
    parameters.Type3InputBuffer = in.empty() ? nullptr : reinterpret_cast<PVOID>(uintptr_t{8});
    request.irp.UserBuffer = out_bytes == 0 ? nullptr : reinterpret_cast<PVOID>(uintptr_t{16});
    return;
  }
  // Direct methods: the input is buffered. The output would be locked pages; a driver that looks for them finds none.
  const bool buffered = METHOD_FROM_CTL_CODE(code) == METHOD_BUFFERED;
  request.output_limit = buffered ? out_bytes : 0;
  give_system_buffer(request, buffered ? std::max(in.size(), out_bytes) : in.size());
  if (!in.empty()) memcpy(request.system_buffer.get(), in.data(), in.size());
  request.irp.AssociatedIrp.SystemBuffer = request.system_buffer.get();
}

}  // namespace

struct file::state {
  machine::implementation* system = nullptr;
  uint32_t pid = 0;
  PDEVICE_OBJECT device = nullptr;
  PFILE_OBJECT object = nullptr;
  std::u16string name;

  internal_mutex mutex;
  std::vector<std::shared_ptr<io_request>> pending;

  // Sends the request and waits for its completion.
  NTSTATUS run(const std::shared_ptr<io_request>& request, std::optional<std::chrono::nanoseconds> timeout) {
    {
      internal_lock lock(mutex);
      pending.push_back(request);
    }
    dispatch(*request);
    bool timed_out = false;
    if (timeout) {
      const auto until = the_scheduler.now() + *timeout;
      if (wait_for(request->done.Header, until) == STATUS_TIMEOUT) {
        timed_out = true;
        IoCancelIrp(&request->irp);
      }
    }
    wait_for(request->done.Header);
    {
      internal_lock lock(mutex);
      pending.erase(std::find(pending.begin(), pending.end(), request));
    }
    const NTSTATUS status = request->irp.IoStatus.Status;
    return timed_out && status == STATUS_CANCELLED ? STATUS_TIMEOUT : status;
  }

  // Sends the request; its answer goes to `to`.
  void begin(const std::shared_ptr<io_request>& request, uint64_t key, completion_port& to) {
    request->finished = &finished;
    request->requester = this;
    request->to = &to;
    request->key = key;
    {
      internal_lock lock(mutex);
      pending.push_back(request);
    }
    dispatch(*request);
  }

  // The request stays in `pending` until its answer was taken: close() waits for that.
  static void finished(io_request& request) {
    const IO_STATUS_BLOCK& result = request.irp.IoStatus;
    const bool answers = !NT_ERROR(result.Status) && request.system_buffer != nullptr;
    request.to->completed(request.key, result.Status,
                          {request.system_buffer.get(), answers ? static_cast<size_t>(result.Information) : 0});
    state& self = *static_cast<state*>(request.requester);
    std::shared_ptr<io_request> last;  // goes after the lock
    internal_lock lock(self.mutex);
    const auto found = std::ranges::find_if(self.pending, [&](const auto& each) { return each.get() == &request; });
    last = std::move(*found);
    self.pending.erase(found);
    lock.unlock();
  }

  void cancel(std::optional<uint64_t> key) {
    std::vector<std::shared_ptr<io_request>> requests;
    {
      internal_lock lock(mutex);
      for (const auto& request : pending) {
        if (!key || (request->to != nullptr && request->key == *key)) requests.push_back(request);
      }
    }
    for (const auto& request : requests) IoCancelIrp(&request->irp);
  }

  NTSTATUS send(uint8_t major_function) { return run(make_request(object, major_function), {}); }

  // By a thread of the machine.
  ~state() {
    if (object != nullptr) {
      object->FileName = {};
      dereference_object(object);
    }
    if (device != nullptr) system->devices.close(device);
  }
};

file::file() = default;
file::~file() {
  close();
}
file::file(file&&) noexcept = default;
file& file::operator=(file&& other) noexcept {
  if (this != &other) {
    close();
    state_ = std::move(other.state_);
  }
  return *this;
}

bool file::is_open() const {
  return state_ != nullptr;
}

NTSTATUS file::open(machine& machine, std::u16string_view name, uint32_t pid, uint32_t user) {
  close();
  const borrowed_thread thread(machine.detail(), pid);
  auto opened = std::make_unique<state>();
  opened->system = &machine.detail();
  opened->pid = pid;
  NTSTATUS status = opened->system->devices.open(name, user, &opened->device, &opened->name);
  if (!NT_SUCCESS(status)) return status;
  PFILE_OBJECT const object = opened->object = create_object<FILE_OBJECT>(file_object_type);
  object->Type = IO_TYPE_FILE;
  object->Size = sizeof(FILE_OBJECT);
  object->DeviceObject = opened->device;
  const auto bytes = static_cast<USHORT>(opened->name.size() * sizeof(WCHAR));
  object->FileName = {bytes, bytes, reinterpret_cast<PWCH>(opened->name.data())};
  object->ReadAccess = object->WriteAccess = TRUE;
  status = opened->send(IRP_MJ_CREATE);
  if (!NT_SUCCESS(status)) return status;  // a create that fails gets no cleanup and no close
  state_ = std::move(opened);
  return status;
}

NTSTATUS file::read(std::span<uint8_t> buffer, uint64_t& bytes,
                    std::optional<std::chrono::nanoseconds> timeout) {
  bytes = 0;
  if (!state_) return STATUS_INVALID_HANDLE;
  const borrowed_thread thread(*state_->system, state_->pid);
  const auto request = make_request(state_->object, IRP_MJ_READ);
  give_system_buffer(*request, state_->device->Flags & DO_BUFFERED_IO ? buffer.size() : 0);
  prepare_read(*request, state_->device->Flags, buffer);
  const NTSTATUS status = state_->run(request, timeout);
  if (NT_ERROR(status) || status == STATUS_TIMEOUT) return status;
  bytes = request->irp.IoStatus.Information;
  if (request->system_buffer) memcpy(buffer.data(), request->system_buffer.get(), bytes);
  return status;
}

// Whatever the device's method is, the memory is the request's own.
void file::begin_read(uint32_t capacity, uint64_t key, completion_port& to) {
  if (!state_) return to.completed(key, STATUS_INVALID_HANDLE, {});
  const borrowed_thread thread(*state_->system, state_->pid);
  const auto request = make_request(state_->object, IRP_MJ_READ);
  give_system_buffer(*request, capacity);
  prepare_read(*request, state_->device->Flags, {request->system_buffer.get(), capacity});
  state_->begin(request, key, to);
}

NTSTATUS file::control(uint32_t code, std::span<const uint8_t> in, std::span<uint8_t> out, uint64_t& bytes,
                       std::optional<std::chrono::nanoseconds> timeout) {
  bytes = 0;
  if (!state_) return STATUS_INVALID_HANDLE;
  const borrowed_thread thread(*state_->system, state_->pid);
  const auto request = make_request(state_->object, IRP_MJ_DEVICE_CONTROL);
  prepare_control(*request, code, in, out.size());
  const NTSTATUS status = state_->run(request, timeout);
  if (NT_ERROR(status) || status == STATUS_TIMEOUT) return status;
  bytes = request->irp.IoStatus.Information;
  if (bytes != 0 && request->system_buffer && METHOD_FROM_CTL_CODE(code) == METHOD_BUFFERED) {
    memcpy(out.data(), request->system_buffer.get(), bytes);
  }
  return status;
}

NTSTATUS file::set_information(uint32_t information_class, std::span<const uint8_t> information) {
  if (!state_) return STATUS_INVALID_HANDLE;
  const borrowed_thread thread(*state_->system, state_->pid);
  const auto request = make_request(state_->object, IRP_MJ_SET_INFORMATION);
  auto& parameters = request->stack.Parameters.SetFile;
  parameters.Length = static_cast<ULONG>(information.size());
  parameters.FileInformationClass = static_cast<FILE_INFORMATION_CLASS>(information_class);
  if (!information.empty()) {
    request->system_buffer.reset(new unsigned char[information.size()]);
    memcpy(request->system_buffer.get(), information.data(), information.size());
    request->irp.AssociatedIrp.SystemBuffer = request->system_buffer.get();
  }
  return state_->run(request, {});
}

void file::begin_control(uint32_t code, std::span<const uint8_t> in, uint32_t capacity, uint64_t key, completion_port& to) {
  if (!state_) return to.completed(key, STATUS_INVALID_HANDLE, {});
  if (METHOD_FROM_CTL_CODE(code) != METHOD_BUFFERED) return to.completed(key, STATUS_NOT_SUPPORTED, {});
  const borrowed_thread thread(*state_->system, state_->pid);
  const auto request = make_request(state_->object, IRP_MJ_DEVICE_CONTROL);
  prepare_control(*request, code, in, capacity);
  state_->begin(request, key, to);
}

void file::cancel() {
  if (!state_) return;
  const borrowed_thread thread(*state_->system, state_->pid);
  state_->cancel(std::nullopt);
}

void file::cancel(uint64_t key) {
  if (!state_) return;
  const borrowed_thread thread(*state_->system, state_->pid);
  state_->cancel(key);
}

void file::close() {
  if (!state_) return;
  const borrowed_thread thread(*state_->system, state_->pid);
  state_->send(IRP_MJ_CLEANUP);
  std::vector<std::shared_ptr<io_request>> requests;
  {
    internal_lock lock(state_->mutex);
    requests = state_->pending;
  }
  // A completion may still be on its way back; the close waits for it, as the reference of a request on its
  // file object makes it wait on Windows.
  for (const auto& request : requests) {
    if (wait_for(request->done.Header, the_scheduler.now() + cleanup_limit) == STATUS_TIMEOUT) {
      stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x135, as_argument(&request->irp),
           std::chrono::milliseconds(cleanup_limit).count(), 0,
           "IRP_MJ_CLEANUP came and went, and a request of that handle is not completed.");
    }
  }
  // Their callers leave before the handle is gone.
  const auto others_left = [&] {
    internal_lock lock(state_->mutex);
    return !state_->pending.empty();
  };
  while (others_left()) the_scheduler.point(point_kind::spin);
  state_->send(IRP_MJ_CLOSE);
  state_.reset();
}

}  // namespace sluice::sim
