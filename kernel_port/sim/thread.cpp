// System threads.
#include <setjmp.h>

#include <algorithm>

#include "kernel_port/sim/attachment.h"
#include "kernel_port/sim/implementation.h"
#include "kernel_port/sim/irql.h"
#include "kernel_port/sim/notify.h"
#include "kernel_port/sim/process.h"

namespace sluice::sim {
namespace {

void require_clean_end(const thread_state& thread, const char* how) {
  if (thread.irql != PASSIVE_LEVEL) {
    stop(bug::IRQL_UNEXPECTED_VALUE, static_cast<uint64_t>(thread.irql) << 16, 0, 0, 0,
         "A system thread %s at IRQL %u.", how, thread.irql);
  }
  if (thread.critical != 0 || thread.guarded != 0) {
    stop(bug::KERNEL_APC_PENDING_DURING_EXIT, 0, thread.critical + thread.guarded, thread.irql, 0,
         "A system thread %s inside a critical or guarded region.", how);
  }
}

// PsTerminateSystemThread leaves the thread's stack as it is on Windows: without running destructors.
void run(PKSTART_ROUTINE routine, PVOID context) {
  jmp_buf end;
  thread_state& thread = self();
  thread.termination = &end;
  if (_setjmp(end) == 0) {
    routine(context);
    require_clean_end(self(), "returned from its start routine");
    self().exit_status = STATUS_SUCCESS;
  }
  self().termination = nullptr;
}

void system_thread(machine::implementation& machine, system_threads::entry& entry, uint32_t cpu,
                   PKSTART_ROUTINE routine, PVOID context) {
  PETHREAD object = entry.object;
  {
    attachment attached(machine, cpu, system_pid, object->tid);
    self().driver = entry.driver;
    run(routine, context);
    object->terminating = true;
    self().driver = nullptr;
    machine.notify.thread_exited(object);
    object->exit_status = self().exit_status;
    machine.processes.remove_thread(object);
    // From here on the driver may be gone: it waits for the object.
    entry.ended.store(true, std::memory_order_release);
    signal_object(object->Header);
  }
}

}  // namespace

void reap_system_threads() {
  system_threads& threads = the_machine().threads;
  // One at a time: without memory, too.
  const auto take_ended = [&threads] {
    std::unique_ptr<system_threads::entry> ended;
    internal_lock lock(threads.mutex);
    const auto found = std::ranges::find_if(threads.entries, [](const auto& each) { return each->ended.load(std::memory_order_acquire); });
    if (found == threads.entries.end()) return ended;
    ended = std::move(*found);
    threads.entries.erase(found);
    return ended;
  };
  while (const std::unique_ptr<system_threads::entry> ended = take_ended()) {
    ended->host.join();
    dereference_object(ended->object);
  }
}

const void* find_thread_of(const driver_record* driver, bool any) {
  system_threads& threads = the_machine().threads;
  internal_lock lock(threads.mutex);
  for (const auto& entry : threads.entries) {
    if ((any || entry->driver == driver) && !entry->ended.load(std::memory_order_acquire))
      return entry->routine;
  }
  return nullptr;
}

}  // namespace sluice::sim

using namespace sluice::sim;

extern "C" {

NTSTATUS PsCreateSystemThread(PHANDLE ThreadHandle, ULONG, POBJECT_ATTRIBUTES, HANDLE, PCLIENT_ID ClientId,
                              PKSTART_ROUTINE StartRoutine, PVOID StartContext) {
  thread_state& thread = require_irql_at_most(PASSIVE_LEVEL, "PsCreateSystemThread");
  machine::implementation& machine = the_machine();
  if (const NTSTATUS failed = machine.injected_failure(machine::failure::thread_creation); failed != STATUS_SUCCESS) return failed;
  reap_system_threads();
  const uint32_t tid = machine.processes.new_system_tid();
  PETHREAD object =
      machine.processes.add_thread(system_pid, tid, reinterpret_cast<uint64_t>(StartRoutine), true, false);
  reference_object(object);
  auto owned = std::make_unique<system_threads::entry>();
  system_threads::entry& entry = *owned;
  entry.object = object;
  entry.driver = thread.driver;
  entry.routine = reinterpret_cast<const void*>(StartRoutine);
  if (ClientId)
    *ClientId = {reinterpret_cast<HANDLE>(uintptr_t{system_pid}), reinterpret_cast<HANDLE>(uintptr_t{tid})};
  *ThreadHandle = machine.handles.insert(object);
  machine.notify.thread_created(object);
  const uint32_t cpu = thread.cpu_index;
  internal_lock lock(machine.threads.mutex);
  machine.threads.entries.push_back(std::move(owned));
  entry.host = scheduled_thread([&machine, &entry, cpu, StartRoutine, StartContext] {
    system_thread(machine, entry, cpu, StartRoutine, StartContext);
  });
  return STATUS_SUCCESS;
}

NTSTATUS PsTerminateSystemThread(NTSTATUS ExitStatus) {
  thread_state& thread = self();
  if (thread.irql == irql_unattached)
    misuse("PsTerminateSystemThread on a host thread that holds no activity");
  if (!thread.termination) return STATUS_INVALID_PARAMETER;  // not a system thread
  require_clean_end(thread, "called PsTerminateSystemThread");
  thread.exit_status = ExitStatus;
  longjmp(*static_cast<jmp_buf*>(thread.termination), 1);
}

KPRIORITY KeSetPriorityThread(PKTHREAD, KPRIORITY) {
  require_irql_at_most(PASSIVE_LEVEL, "KeSetPriorityThread");
  return 8;  // the host schedules; every thread has NT's default
}
KPRIORITY KeQueryPriorityThread(PKTHREAD) {
  return 8;
}
}
