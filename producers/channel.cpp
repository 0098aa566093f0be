#include "producers/channel.h"

namespace sluice {

NTSTATUS channel::create(const kernel_functions& functions, const channel_options& options) {
  PAGED_CODE();
  if (check_geometry(options.main) != region_status::ok || check_geometry(options.spare) != region_status::ok ||
      options.start_position % record_alignment != 0 || static_cast<uint32_t>(options.mode) >= ring_mode_count) {
    return STATUS_INVALID_PARAMETER;
  }
  options_ = options;
  KeInitializeSpinLock(&types_lock_);
  LARGE_INTEGER frequency;
  KeQueryPerformanceCounter(&frequency);
  functions_ = functions;
  frequency_ = static_cast<uint64_t>(frequency.QuadPart);
  step_back_ = frequency_ * options.step_back_microseconds / 1000000;
  const uint32_t cpus = maximum_processors();
  if (!filter_.create(functions) || !rings_.allocate(functions, cpus) || !views_.allocate(functions, cpus * lanes_per_cpu) ||
      !regions_.allocate(functions, cpus * lanes_per_cpu)) {
    return STATUS_INSUFFICIENT_RESOURCES;
  }
  if (functions.KeRegisterProcessorChangeCallback == nullptr) return add_cpus(cpus);  // it adds none, or would not tell
  // Called for each CPU that is there, before it returns.
  processor_callback_ =
      functions.KeRegisterProcessorChangeCallback(&on_processor_change, this, KE_PROCESSOR_CHANGE_ADD_EXISTING);
  return processor_callback_ == nullptr ? STATUS_INSUFFICIENT_RESOURCES : STATUS_SUCCESS;
}

void channel::stop() {
  PAGED_CODE();
  if (processor_callback_ != nullptr) functions_.KeDeregisterProcessorChangeCallback(processor_callback_);
  processor_callback_ = nullptr;
}

// Rings for the first `count` CPUs. One call at a time: the kernel adds CPUs one after another.
NTSTATUS channel::add_cpus(uint32_t count) {
  PAGED_CODE();
  for (uint32_t cpu = ready_cpus_.load(memory_order::relaxed); cpu < count; ++cpu) {  // relaxed: written here only
    for (uint32_t lane = 0; lane < lanes_per_cpu; ++lane) {
      const uint32_t i = cpu * lanes_per_cpu + lane;
      const ring_geometry& geometry = lane == lane_main ? options_.main : options_.spare;
      if (!regions_[i].allocate(functions_, region_bytes(geometry))) return STATUS_INSUFFICIENT_RESOURCES;
      views_[i] = create_region(regions_[i].get(), geometry,
                                {options_.boot, frequency_, static_cast<uint16_t>(cpu), static_cast<uint8_t>(lane),
                                 options_.start_position, rings_.count(), options_.anchor_counter, options_.anchor_utc},
                                options_.mode);
    }
    rings_[cpu].attach(region(cpu, lane_main), region(cpu, lane_spare), options_.critical_types, step_back_);
    ready_cpus_.store(cpu + 1, memory_order::release);  // SYNC POINT: ready_cpus()
  }
  return STATUS_SUCCESS;
}

// PASSIVE_LEVEL. An addition that fails later leaves rings that nobody writes to; the next attempt finds them.
VOID NTAPI channel::on_processor_change(PVOID context, PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT change, PNTSTATUS status) {
  PAGED_CODE();
  if (change->State != KeProcessorAddStartNotify) return;
  channel& self = *static_cast<channel*>(context);
  const NTSTATUS added =
      change->NtNumber < self.cpu_count() ? self.add_cpus(change->NtNumber + 1) : STATUS_NOT_SUPPORTED;
  if (!NT_SUCCESS(added)) *status = added;
}

void channel::write_own(uint16_t type, const void* payload, uint32_t length) {
  const dispatch_section section;
  const uint32_t cpu = section.cpu();
  if (rings_[cpu].write_out_of_line(type, event_version, payload, length) == reserve_status::ok) after_close(cpu, type);
}

bool channel::reserve_event(uint16_t type, uint32_t length, reservation& held) {
  const event_context context{static_cast<uint32_t>(reinterpret_cast<uintptr_t>(PsGetCurrentProcessId())),
                              static_cast<uint32_t>(reinterpret_cast<uintptr_t>(PsGetCurrentThreadId()))};
  // Before the reservation: from here to the end of the record the thread cannot be suspended.
  const bool enter = KeGetCurrentIrql() < DISPATCH_LEVEL;
  if (enter) KeEnterCriticalRegion();
  reserve_status status;
  {
    dispatch_section section;
    held.cpu_ = section.cpu();
    status = reserve_on(held.cpu_, type, event_version, length, held.record_, &context);
  }
  if (status != reserve_status::ok) {
    if (enter) KeLeaveCriticalRegion();
    return false;
  }
  held.type_ = type;
  held.in_critical_region_ = enter;
  held.channel_ = this;
  return true;
}

// Off the path of a running consumer.
SLUICE_NEVER_INLINE void channel::signal(announcement level, uint32_t cpu, uint16_t type) {
  if (level == announcement::threshold && (options_.critical_types >> type & 1) == 0) {
    const region_view<native_seam>& view = region(cpu, lane_main);
    // Relaxed: a hint of how much is pending; the timed sleep that goes with this level bounds an error (W2).
    const uint32_t pending = view.producer->published.load(memory_order::relaxed) -
                             view.consumer->consumed.load(memory_order::relaxed);
    if (pending < options_.wake_threshold) return;
  }
  KeSetEvent(signal_, IO_NO_INCREMENT, FALSE);  // Wait = FALSE: allowed up to DISPATCH_LEVEL
}

}  // namespace sluice
