#include "kernel_port/sim/processor_change.h"

#include <algorithm>

#include "kernel_port/sim/attachment.h"
#include "kernel_port/sim/implementation.h"
#include "kernel_port/sim/irql.h"
#include "kernel_port/sim/system_routine.h"

namespace sluice::sim {
namespace {

// One change at a time. A callback that makes another would wait for itself.
class change {
 public:
  change(std::mutex& mutex, std::atomic<std::thread::id>& owner, const char* function) : owner_(owner) {
    if (owner.load() == std::this_thread::get_id()) {
      stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x1000, 0, 0, 0,
           "%s from inside a processor change callback: it waits for the callback to return, for ever.", function);
    }
    lock_ = std::unique_lock(mutex, std::defer_lock);
    if (the_scheduler.takes_turns()) {
      while (!lock_.try_lock()) the_scheduler.point(point_kind::spin);  // its owner stands, and needs a turn
    } else {
      lock_.lock();
    }
    owner_.store(std::this_thread::get_id());
  }
  ~change() { owner_.store({}); }
  change(const change&) = delete;
  change& operator=(const change&) = delete;

 private:
  std::atomic<std::thread::id>& owner_;
  std::unique_lock<std::mutex> lock_;
};

}  // namespace

NTSTATUS processor_changes::tell(const callback& whom, KE_PROCESSOR_CHANGE_NOTIFY_STATE state, uint32_t cpu,
                                 NTSTATUS outcome) {
  KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT about{};
  about.State = state;
  about.NtNumber = cpu;
  about.Status = outcome;
  about.ProcNumber = the_machine().processor_at(cpu).number;
  NTSTATUS status = STATUS_SUCCESS;
  driver_call checked(whom.driver, reinterpret_cast<const void*>(whom.function), "A processor change callback");
  into_driver([&] { whom.function(whom.context, &about, &status); });
  return state == KeProcessorAddStartNotify ? status : STATUS_SUCCESS;  // of the others nobody asks
}

NTSTATUS processor_changes::add_processor(machine::implementation& machine) {
  const borrowed_thread system(machine, system_pid);
  const change one(changes_, changing_, "machine::add_processor");
  const uint32_t cpu = machine.active_processors();
  if (machine.options.level < kernel_level::vista || cpu == machine.processors.size()) return STATUS_NOT_SUPPORTED;
  NTSTATUS status = STATUS_SUCCESS;
  std::vector<callback> told;
  for (const callback& each : callbacks_) {
    told.push_back(each);
    status = tell(each, KeProcessorAddStartNotify, cpu, STATUS_SUCCESS);
    if (!NT_SUCCESS(status)) break;
  }
  if (!NT_SUCCESS(status)) {
    for (const callback& each : told) tell(each, KeProcessorAddFailureNotify, cpu, status);
    return status;
  }
  machine.start_processor();  // from here on things run on it
  for (const callback& each : told) tell(each, KeProcessorAddCompleteNotify, cpu, STATUS_SUCCESS);
  return STATUS_SUCCESS;
}

PVOID processor_changes::add(PPROCESSOR_CALLBACK_FUNCTION function, PVOID context, ULONG flags) {
  machine::implementation& machine = the_machine();
  const change one(changes_, changing_, "KeRegisterProcessorChangeCallback");
  if (machine.injected_failure(machine::failure::callback_registration) != STATUS_SUCCESS) return nullptr;
  const callback made{function, context, self().driver};
  if (flags & KE_PROCESSOR_CHANGE_ADD_EXISTING) {
    for (uint32_t cpu = 0; cpu < machine.active_processors(); ++cpu) {
      const NTSTATUS status = tell(made, KeProcessorAddStartNotify, cpu, STATUS_SUCCESS);
      if (!NT_SUCCESS(status)) {
        for (uint32_t each = 0; each <= cpu; ++each) tell(made, KeProcessorAddFailureNotify, each, status);
        return nullptr;
      }
    }
    for (uint32_t cpu = 0; cpu < machine.active_processors(); ++cpu) {
      tell(made, KeProcessorAddCompleteNotify, cpu, STATUS_SUCCESS);
    }
  }
  internal_lock lock(list_mutex_);
  callbacks_.push_back(made);
  return &callbacks_.back();
}

void processor_changes::remove(PVOID handle) {
  const change one(changes_, changing_, "KeDeregisterProcessorChangeCallback");
  internal_lock lock(list_mutex_);
  const auto found = std::ranges::find_if(callbacks_, [handle](const callback& each) { return &each == handle; });
  if (found == callbacks_.end()) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x3F, as_argument(handle), 0, 0,
         "KeDeregisterProcessorChangeCallback for a handle that is not registered.");
  }
  callbacks_.erase(found);
}

uint64_t processor_changes::count() {
  internal_lock lock(list_mutex_);
  return callbacks_.size();
}

const void* processor_changes::find_of(const driver_record* driver, bool any) {
  internal_lock lock(list_mutex_);
  for (const callback& each : callbacks_) {
    if (any || each.driver == driver) return reinterpret_cast<const void*>(each.function);
  }
  return nullptr;
}

namespace late {

PVOID KeRegisterProcessorChangeCallback(PPROCESSOR_CALLBACK_FUNCTION CallbackFunction, PVOID CallbackContext,
                                        ULONG Flags) {
  require_irql_at_most(PASSIVE_LEVEL, "KeRegisterProcessorChangeCallback");
  return the_machine().changes.add(CallbackFunction, CallbackContext, Flags);
}

VOID KeDeregisterProcessorChangeCallback(PVOID CallbackHandle) {
  require_irql_at_most(PASSIVE_LEVEL, "KeDeregisterProcessorChangeCallback");
  the_machine().changes.remove(CallbackHandle);
}

}  // namespace late
}  // namespace sluice::sim
