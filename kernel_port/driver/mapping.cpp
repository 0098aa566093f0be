#include "kernel_port/driver/mapping.h"

#include "producers/user_mapping.h"

namespace sluice {
namespace {

// In the address space of a process while it lives. Up to APC_LEVEL.
class process_scope {
 public:
  explicit process_scope(PEPROCESS process) { KeStackAttachProcess(reinterpret_cast<PKPROCESS>(process), &before_); }
  ~process_scope() { KeUnstackDetachProcess(&before_); }
  process_scope(const process_scope&) = delete;
  process_scope& operator=(const process_scope&) = delete;

 private:
  KAPC_STATE before_;
};

class fast_mutex_scope {
 public:
  explicit fast_mutex_scope(FAST_MUTEX& mutex) : mutex_(mutex) { ExAcquireFastMutex(&mutex_); }
  ~fast_mutex_scope() { ExReleaseFastMutex(&mutex_); }
  fast_mutex_scope(const fast_mutex_scope&) = delete;
  fast_mutex_scope& operator=(const fast_mutex_scope&) = delete;

 private:
  FAST_MUTEX& mutex_;
};

constexpr ULONG consumer_flags = NormalPagePriority | MdlMappingNoExecute;
constexpr ULONG region_flags = consumer_flags | MdlMappingNoWrite;

uint64_t address_of(PVOID user) { return reinterpret_cast<uintptr_t>(user); }

}  // namespace

NTSTATUS mapping::start(channel& of, worker& from, const kernel_functions& functions, const owner& whose) {
  PAGED_CODE();
  channel_ = &of;
  worker_ = &from;
  owner_ = whose;
  // MdlMappingNoWrite came with Windows 8, as KeQuerySystemTimePrecise did; a kernel that does not know it would map writable.
  // Rings that overwrite do not wait for a consumer, and so could not be taken over without a gap.
  supported_ = functions.KeQuerySystemTimePrecise != nullptr && of.options().mode == ring_mode::discard;
  ExInitializeFastMutex(&mutex_);
  KeInitializeSpinLock(&wait_lock_);
  waits_.start();
  started_ = true;
  return views_.allocate(functions, of.cpu_count() * lanes_per_cpu) ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

void mapping::stop() {
  PAGED_CODE();
  if (!started_) return;
  const fast_mutex_scope held(mutex_);
  if (file_ != nullptr) release();
}

bool mapping::is_supported() const { return supported_; }

NTSTATUS mapping::control(PIRP irp) {
  uint32_t written = 0;
  NTSTATUS status = STATUS_INVALID_DEVICE_REQUEST;
  const PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
  switch (stack->Parameters.DeviceIoControl.IoControlCode) {
    case protocol::code_map: status = map(irp, written); break;
    case protocol::code_announce: status = announce(irp, written); break;
    case protocol::code_wait: return wait(irp);
    case protocol::code_wake: status = wake(stack->FileObject); break;
  }
  return complete(irp, status, written);
}

// PASSIVE_LEVEL, in the client's process: where its address space is the current one.
NTSTATUS mapping::map(PIRP irp, uint32_t& written) {
  const PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
  const auto& sizes = stack->Parameters.DeviceIoControl;
  if (!supported_) return STATUS_NOT_SUPPORTED;
  if (KeGetCurrentIrql() != PASSIVE_LEVEL || irp->RequestorMode != UserMode) return STATUS_INVALID_DEVICE_STATE;
  protocol::map_request request;
  if (sizes.InputBufferLength < sizeof request) return STATUS_INFO_LENGTH_MISMATCH;
  copy_bytes(&request, irp->AssociatedIrp.SystemBuffer, sizeof request);
  if (request.version != protocol::version) return STATUS_REVISION_MISMATCH;
  if (request.reserved != 0) return STATUS_INVALID_PARAMETER;
  if (sizes.OutputBufferLength < sizeof(protocol::map_answer)) return STATUS_BUFFER_TOO_SMALL;

  const critical_region region;  // others wait for the mutex
  const fast_mutex_scope held(mutex_);
  const uint32_t rings = channel_->ready_cpus() * lanes_per_cpu;
  if (sizes.OutputBufferLength - sizeof(protocol::map_answer) < rings * sizeof(protocol::mapped_ring)) {
    // Nothing is mapped yet: the answer says how many rings there are.
    protocol::map_answer short_answer{};
    short_answer.version = protocol::version;
    short_answer.ring_count = rings;
    copy_bytes(irp->AssociatedIrp.SystemBuffer, &short_answer, sizeof short_answer);
    written = sizeof short_answer;
    return STATUS_BUFFER_OVERFLOW;
  }
  const NTSTATUS status = map_for(stack->FileObject, rings);
  if (!NT_SUCCESS(status)) return status;
  fill(irp->AssociatedIrp.SystemBuffer, rings);
  written = static_cast<uint32_t>(sizeof(protocol::map_answer) + rings * sizeof(protocol::mapped_ring));
  return STATUS_SUCCESS;
}

// With the mutex held. On failure what was not there before is not there now.
NTSTATUS mapping::map_for(PFILE_OBJECT file, uint32_t rings) {
  const bool first = file_ == nullptr;
  if (first) {
    if (!worker_->consumers().join_alone()) return STATUS_SHARING_VIOLATION;
    file_ = file;
    process_ = PsGetCurrentProcess();
    ObReferenceObject(process_);
    InterlockedExchangePointer(&pid_, PsGetCurrentProcessId());
    owner_.attached(owner_.context);
    worker_->lend_rings({this, [](void* self) { static_cast<mapping*>(self)->record_closed(); }});
    for (uint32_t i = 0; i < views_.count(); ++i) {
      views_[i] = {};
      worker_->lent_position(i, views_[i].position, views_[i].announced);
    }
    const spin_lock_scope lock(wait_lock_);
    waker_of_ = file;
    closed_ = announced_once_ = false;
  } else if (file_ != file || mapped_by() != PsGetCurrentProcessId()) {
    return STATUS_SHARING_VIOLATION;
  }
  const uint32_t before = mapped_;
  NTSTATUS status = STATUS_SUCCESS;
  while (NT_SUCCESS(status) && mapped_ < rings) status = map_ring(mapped_);
  if (NT_SUCCESS(status)) return status;
  if (first) {
    release();
  } else {
    unmap_from(before);
  }
  return status;
}

NTSTATUS mapping::map_ring(uint32_t ring) {
  const region_view<native_seam>& region = channel_->region(ring / lanes_per_cpu, ring % lanes_per_cpu);
  view& to = views_[ring];
  ++mapped_;  // what of it is there is unmapped with it
  const NTSTATUS status = map_part(region.producer, region_consumer_offset(region.geometry), region_flags, to.region,
                                   to.region_address);
  if (!NT_SUCCESS(status)) return status;
  return map_part(region.consumer, region_page, consumer_flags, to.consumer, to.consumer_address);
}

NTSTATUS mapping::map_part(void* memory, uint32_t bytes, ULONG flags, PMDL& mdl, PVOID& address) {
  mdl = IoAllocateMdl(memory, bytes, FALSE, FALSE, nullptr);
  if (mdl == nullptr) return STATUS_INSUFFICIENT_RESOURCES;
  MmBuildMdlForNonPagedPool(mdl);
  return sluice_map_locked_pages(mdl, flags, &address);
}

// With the mutex held: the views of this ring and of those behind it.
void mapping::unmap_from(uint32_t ring) {
  const process_scope inside(process_);
  while (mapped_ > ring) {
    view& gone = views_[--mapped_];
    if (gone.region_address != nullptr) MmUnmapLockedPages(gone.region_address, gone.region);
    if (gone.consumer_address != nullptr) MmUnmapLockedPages(gone.consumer_address, gone.consumer);
    if (gone.region != nullptr) IoFreeMdl(gone.region);
    if (gone.consumer != nullptr) IoFreeMdl(gone.consumer);
    gone.region = gone.consumer = nullptr;
    gone.region_address = gone.consumer_address = nullptr;
  }
}

// With the mutex held: nobody has the rings but the driver, and whoever comes next may.
void mapping::release() {
  {
    const spin_lock_scope lock(wait_lock_);
    waker_of_ = nullptr;
  }
  waits_.cancel();
  unmap_from(0);
  InterlockedExchangePointer(&pid_, nullptr);
  ObDereferenceObject(process_);
  process_ = nullptr;
  worker_->take_rings_back();  // after the unmapping: what the client claimed is all that it will ever claim
  file_ = nullptr;
  worker_->consumers().leave_alone();
}

void mapping::detach(PFILE_OBJECT file) {
  PAGED_CODE();
  const critical_region region;
  const fast_mutex_scope held(mutex_);
  if (file_ == file) release();
  waits_.cancel(file);
}

void mapping::process_exited(HANDLE pid) {
  PAGED_CODE();
  // Without the mutex, which few exits need: a process that ends has no thread left that could be mapping now.
  if (mapped_by() != pid) return;
  const critical_region region;
  const fast_mutex_scope held(mutex_);
  if (file_ != nullptr && mapped_by() == pid) release();
}

void mapping::fill(void* out, uint32_t rings) {
  const worker::clock_relation clock = worker_->clock();
  protocol::map_answer answer{};
  answer.version = protocol::version;
  answer.ring_count = rings;
  answer.boot = channel_->options().boot;
  answer.clock_frequency = worker_->frequency();
  answer.margin_ticks = worker_->margin_ticks();
  answer.overdue_ticks = worker_->overdue_ticks();
  answer.step_back = channel_->step_back();
  answer.clock_offset = clock.offset;
  answer.clock_epoch = clock.epoch;
  answer.cpu_count = channel_->cpu_count();
  uint8_t* const base = static_cast<uint8_t*>(out);
  copy_bytes(base, &answer, sizeof answer);
  for (uint32_t i = 0; i < rings; ++i) {
    const region_view<native_seam>& region = channel_->region(i / lanes_per_cpu, i % lanes_per_cpu);
    const view& mapped = views_[i];
    const protocol::mapped_ring each{region.cpu,
                                     region.lane,
                                     0,
                                     region_consumer_offset(region.geometry),
                                     address_of(mapped.region_address),
                                     address_of(mapped.consumer_address),
                                     mapped.position,
                                     mapped.announced};
    copy_bytes(base + sizeof answer + i * sizeof each, &each, sizeof each);
  }
}

// Up to DISPATCH_LEVEL, all of what follows.
NTSTATUS mapping::announce(PIRP irp, uint32_t& written) {
  const PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
  const uint64_t now = kernel_clock().now();
  {
    const spin_lock_scope lock(wait_lock_);
    if (waker_of_ == nullptr || waker_of_ != stack->FileObject) return STATUS_INVALID_DEVICE_STATE;
    if (announced_once_ && now - announced_at_ < worker_->margin_ticks()) {
      closed_ = true;
    } else {
      announced_once_ = true;
      announced_at_ = now;
      closed_ = false;
      channel_->wake().announce(announcement::any_close);
    }
  }
  if (stack->Parameters.DeviceIoControl.OutputBufferLength >= sizeof(protocol::wait_answer)) {
    answer(irp);
    written = sizeof(protocol::wait_answer);
  }
  return STATUS_SUCCESS;
}

void mapping::answer(PIRP irp) {
  const protocol::wait_answer now{protocol::version, channel_->ready_cpus() * lanes_per_cpu};
  copy_bytes(irp->AssociatedIrp.SystemBuffer, &now, sizeof now);
}

// Queued first, looked at then: a close in between finds the request or is found with it.
NTSTATUS mapping::wait(PIRP irp) {
  PFILE_OBJECT const file = IoGetCurrentIrpStackLocation(irp)->FileObject;
  waits_.insert(irp);
  bool mine;
  {
    const spin_lock_scope lock(wait_lock_);
    mine = waker_of_ != nullptr && waker_of_ == file;
  }
  if (mine) {
    serve_waits();
  } else {
    while (PIRP const refused = waits_.remove(file)) complete(refused, STATUS_INVALID_DEVICE_STATE);
  }
  return STATUS_PENDING;
}

// By the worker: a record was closed since the announcement. Cleared and kept under one lock: an announcement that is gone has left
// a close behind it, until a wait has taken that.
void mapping::record_closed() {
  {
    const spin_lock_scope lock(wait_lock_);
    channel_->wake().announce(announcement::running);
    closed_ = true;
  }
  serve_waits();
}

// By the client itself, from another thread than the one that waits.
NTSTATUS mapping::wake(PFILE_OBJECT file) {
  {
    const spin_lock_scope lock(wait_lock_);
    if (waker_of_ == nullptr || waker_of_ != file) return STATUS_INVALID_DEVICE_STATE;
    closed_ = true;
  }
  serve_waits();
  return STATUS_SUCCESS;
}

void mapping::serve_waits() {
  for (;;) {
    PIRP irp = nullptr;
    {
      const spin_lock_scope lock(wait_lock_);
      // Of the client's own handle: what another one asks for takes nothing from it.
      if (!closed_ || waker_of_ == nullptr) return;
      irp = waits_.remove(waker_of_);
      if (irp == nullptr) return;
      closed_ = false;
    }
    const bool told = IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl.OutputBufferLength >=
                      sizeof(protocol::wait_answer);
    if (told) answer(irp);
    complete(irp, STATUS_SUCCESS, told ? sizeof(protocol::wait_answer) : 0);
  }
}

}  // namespace sluice
