#include "kernel_port/sim/process.h"

#include <utility>

#include "kernel_port/sim/check.h"
#include "kernel_port/sim/implementation.h"
#include "kernel_port/sim/notify.h"
#include "kernel_port/sim/system_routine.h"
#include "kernel_port/sim/time.h"

namespace sluice::sim {

void destroy_process_object(void*) {}

void destroy_thread_object(void* body) {
  auto* thread = static_cast<PETHREAD>(body);
  if (thread->process) dereference_object(thread->process);
}

namespace {

// An object for a place that was made for it; the place goes where there is no memory.
template <class object, class table, class type>
object* create_for(table& places, typename table::iterator place, type& of) {
  try {
    return create_object<object>(of);
  } catch (...) {
    places.erase(place);
    throw;
  }
}

}  // namespace

process_table::~process_table() {
  for (auto& [tid, thread] : threads_) dereference_object(thread);
  for (auto& [pid, process] : processes_) dereference_object(process);
}

PEPROCESS process_table::add_process(uint32_t pid, uint32_t parent_pid, bool subsystem, bool implicit) {
  internal_lock lock(mutex_);
  const auto [slot, fresh] = processes_.try_emplace(pid, nullptr);
  if (!fresh) {
    // Somebody who had been running all along is now announced.
    if (implicit || !slot->second->implicit) return nullptr;
    PEPROCESS process = slot->second;
    process->implicit = false;
    process->parent_pid = parent_pid;
    process->subsystem = subsystem;
    return process;
  }
  auto* const process = create_for<_EPROCESS>(processes_, slot, process_object_type);
  initialize_header(process->Header, dispatcher_type::process, 0);
  process->pid = pid;
  process->parent_pid = parent_pid;
  process->create_time = system_time_precise();
  process->start_key = uint64_t{1} << 48 | next_start_key_++;  // boot number and sequence, as on Windows
  process->exit_status = STATUS_PENDING;
  process->subsystem = subsystem;
  process->implicit = implicit;
  slot->second = process;
  return process;
}

PETHREAD process_table::add_thread(uint32_t pid, uint32_t tid, uint64_t start_address, bool system,
                                   bool implicit) {
  internal_lock lock(mutex_);
  const auto process = processes_.find(pid);
  return process == processes_.end() ? nullptr : add_thread_to(process->second, tid, start_address, system, implicit);
}

// With the lock held.
PETHREAD process_table::add_thread_to(PEPROCESS process, uint32_t tid, uint64_t start_address, bool system, bool implicit) {
  const uint32_t pid = process->pid;
  const auto [slot, fresh] = threads_.try_emplace(tid, nullptr);
  if (!fresh) {
    if (implicit || !slot->second->implicit || slot->second->pid != pid) return nullptr;
    slot->second->implicit = false;
    slot->second->start_address = start_address;
    return slot->second;
  }
  auto* const thread = create_for<_KTHREAD>(threads_, slot, thread_object_type);
  initialize_header(thread->Header, dispatcher_type::thread, 0);
  reference_object(process);
  thread->process = process;
  thread->pid = pid;
  thread->tid = tid;
  thread->start_address = start_address;
  thread->exit_status = STATUS_PENDING;
  thread->system = system;
  thread->implicit = implicit;
  slot->second = thread;
  return thread;
}

PEPROCESS process_table::reference_process(uint32_t pid) {
  internal_lock lock(mutex_);
  const auto found = processes_.find(pid);
  if (found == processes_.end()) return nullptr;
  reference_object(found->second);
  return found->second;
}

PETHREAD process_table::reference_thread(uint32_t tid) {
  internal_lock lock(mutex_);
  const auto found = threads_.find(tid);
  if (found == threads_.end()) return nullptr;
  reference_object(found->second);
  return found->second;
}

void process_table::remove_process(PEPROCESS process) {
  {
    internal_lock lock(mutex_);
    const auto found = processes_.find(process->pid);
    if (found == processes_.end() || found->second != process) return;
    processes_.erase(found);
  }
  dereference_object(process);
}

void process_table::remove_thread(PETHREAD thread) {
  {
    internal_lock lock(mutex_);
    const auto found = threads_.find(thread->tid);
    if (found == threads_.end() || found->second != thread) return;
    threads_.erase(found);
  }
  dereference_object(thread);
}

std::vector<uint32_t> process_table::threads_of(uint32_t pid) {
  internal_lock lock(mutex_);
  std::vector<uint32_t> found;
  for (const auto& [tid, thread] : threads_) {
    if (thread->pid == pid && !thread->implicit) found.push_back(tid);
  }
  return found;
}

PEPROCESS process_table::current_process(thread_state& thread) {
  if (thread.process) return thread.process;
  const uint32_t pid = thread.host->pid.load(std::memory_order_relaxed);
  while (!(thread.process = reference_process(pid))) add_process(pid, 0, false, true);
  return thread.process;
}

PETHREAD process_table::current_thread(thread_state& thread) {
  if (thread.thread) return thread.thread;
  const uint32_t pid = thread.host->pid.load(std::memory_order_relaxed);
  const uint32_t tid = thread.host->tid.load(std::memory_order_relaxed);
  PEPROCESS const process = current_process(thread);
  while (!(thread.thread = reference_thread(tid))) {
    internal_lock lock(mutex_);
    // What nobody created goes with its last thread: between the two that was another one, perhaps.
    if (process->implicit && processes_.try_emplace(pid, process).second) reference_object(process);
    add_thread_to(process, tid, 0, pid == system_pid, true);
  }
  return thread.thread;
}

void process_table::forget_current(thread_state& thread) {
  if (PETHREAD was = std::exchange(thread.thread, nullptr)) {
    if (was->implicit) remove_thread(was);
    dereference_object(was);
  }
  if (PEPROCESS was = std::exchange(thread.process, nullptr)) {
    if (was->implicit) {
      bool others = false;
      {
        internal_lock lock(mutex_);
        for (const auto& [tid, other] : threads_) others |= other->process == was;
      }
      if (!others) remove_process(was);
    }
    dereference_object(was);
  }
}

NTSTATUS create_process(const process_creation& creation) {
  machine::implementation& machine = the_machine();
  thread_state& thread = require_irql_at_most(PASSIVE_LEVEL, "create_process");
  PEPROCESS process =
      machine.processes.add_process(creation.pid, creation.parent_pid, creation.subsystem_process, false);
  if (!process) return STATUS_INVALID_CID;
  reference_object(process);
  const NTSTATUS status = machine.notify.process_created(process, creation, thread);
  if (!NT_SUCCESS(status)) {
    // Denied: the process never runs, and its end is reported as its creation was.
    process->exit_status = status;
    machine.notify.process_exited(process);
    signal_object(process->Header);
    machine.processes.remove_process(process);
  }
  dereference_object(process);
  return status;
}

NTSTATUS exit_process(uint32_t pid, int32_t exit_status) {
  machine::implementation& machine = the_machine();
  require_irql_at_most(PASSIVE_LEVEL, "exit_process");
  PEPROCESS process = machine.processes.reference_process(pid);
  if (!process) return STATUS_INVALID_CID;
  const std::shared_ptr<address_space> space = machine.spaces.of(pid);
  const std::shared_ptr<void> nobody_inside = space->process_ends();
  for (const uint32_t tid : machine.processes.threads_of(pid)) exit_thread(pid, tid);
  process->exit_status = exit_status;
  machine.notify.process_exited(process);
  signal_object(process->Header);
  if (const void* memory = machine.mappings.find_of(pid)) {
    stop(bug::PROCESS_HAS_LOCKED_PAGES, 0, as_argument(process), as_argument(memory), 0,
         "Process %u has ended, and memory of the kernel is still mapped there.", pid);
  }
  machine.filters.process_exited(pid);
  machine.processes.remove_process(process);
  dereference_object(process);
  return STATUS_SUCCESS;
}

NTSTATUS add_existing_process(const process_creation& creation) {
  const bool added = the_machine().processes.add_process(creation.pid, creation.parent_pid,
                                                         creation.subsystem_process, false);
  return added ? STATUS_SUCCESS : STATUS_INVALID_CID;
}

NTSTATUS add_existing_thread(uint32_t pid, uint32_t tid) {
  return the_machine().processes.add_thread(pid, tid, 0, pid == system_pid, false) ? STATUS_SUCCESS
                                                                                   : STATUS_INVALID_CID;
}

NTSTATUS forget_thread(uint32_t tid) {
  machine::implementation& machine = the_machine();
  PETHREAD thread = machine.processes.reference_thread(tid);
  if (!thread) return STATUS_INVALID_CID;
  signal_object(thread->Header);
  machine.processes.remove_thread(thread);
  dereference_object(thread);
  return STATUS_SUCCESS;
}

NTSTATUS forget_process(uint32_t pid) {
  machine::implementation& machine = the_machine();
  PEPROCESS process = machine.processes.reference_process(pid);
  if (!process) return STATUS_INVALID_CID;
  for (const uint32_t tid : machine.processes.threads_of(pid)) (void)forget_thread(tid);
  signal_object(process->Header);
  machine.processes.remove_process(process);
  dereference_object(process);
  return STATUS_SUCCESS;
}

NTSTATUS create_thread(uint32_t pid, uint32_t tid, uint64_t start_address) {
  machine::implementation& machine = the_machine();
  require_irql_at_most(APC_LEVEL, "create_thread");
  PETHREAD thread = machine.processes.add_thread(pid, tid, start_address, pid == system_pid, false);
  if (!thread) return STATUS_INVALID_CID;
  reference_object(thread);
  machine.notify.thread_created(thread);
  dereference_object(thread);
  return STATUS_SUCCESS;
}

NTSTATUS exit_thread(uint32_t pid, uint32_t tid) {
  machine::implementation& machine = the_machine();
  require_irql_at_most(APC_LEVEL, "exit_thread");
  PETHREAD thread = machine.processes.reference_thread(tid);
  if (!thread) return STATUS_INVALID_CID;
  if (thread->pid != pid) {
    dereference_object(thread);
    return STATUS_INVALID_CID;
  }
  thread->terminating = true;
  machine.notify.thread_exited(thread);
  thread->exit_status = STATUS_SUCCESS;
  signal_object(thread->Header);
  machine.processes.remove_thread(thread);
  dereference_object(thread);
  return STATUS_SUCCESS;
}

void load_image(const image_loading& loading) {
  require_irql_at_most(APC_LEVEL, "load_image");
  the_machine().notify.image_loaded(loading);
}

raised_counts raised() {
  return the_machine().notify.raised();
}

namespace late {
ULONGLONG PsGetProcessStartKey(PEPROCESS Process) {
  return Process->start_key;
}
}  // namespace late

}  // namespace sluice::sim

using namespace sluice::sim;

namespace {

thread_state& attached(const char* function) {
  thread_state& thread = self();
  if (!thread.host) [[unlikely]]
    misuse("%s was called on a host thread that holds no activity", function);
  return thread;
}

}  // namespace

extern "C" {

PEPROCESS PsInitialSystemProcess = nullptr;

PEPROCESS PsGetCurrentProcess(VOID) {
  if (PEPROCESS const other = self().attached) return other;
  return the_machine().processes.current_process(attached("PsGetCurrentProcess"));
}
PEPROCESS IoGetCurrentProcess(VOID) {
  return PsGetCurrentProcess();
}
PETHREAD PsGetCurrentThread(VOID) {
  return the_machine().processes.current_thread(attached("PsGetCurrentThread"));
}
PKTHREAD KeGetCurrentThread(VOID) {
  return PsGetCurrentThread();
}
HANDLE PsGetCurrentProcessId(VOID) {
  return as_handle(attached("PsGetCurrentProcessId").host->pid.load(std::memory_order_relaxed));
}
HANDLE PsGetCurrentThreadId(VOID) {
  return as_handle(attached("PsGetCurrentThreadId").host->tid.load(std::memory_order_relaxed));
}
HANDLE PsGetProcessId(PEPROCESS Process) {
  return as_handle(Process->pid);
}
HANDLE PsGetThreadId(PETHREAD Thread) {
  return as_handle(Thread->tid);
}
HANDLE PsGetThreadProcessId(PETHREAD Thread) {
  return as_handle(Thread->pid);
}
PEPROCESS PsGetThreadProcess(PETHREAD Thread) {
  return Thread->process;
}
PEPROCESS IoThreadToProcess(PETHREAD Thread) {
  return Thread->process;
}

NTSTATUS PsLookupProcessByProcessId(HANDLE ProcessId, PEPROCESS* Process) {
  require_irql_at_most(APC_LEVEL, "PsLookupProcessByProcessId");
  if (const NTSTATUS failed = the_machine().injected_failure(machine::failure::object_lookup); failed != STATUS_SUCCESS) return failed;
  *Process = the_machine().processes.reference_process(HandleToULong(ProcessId));
  return *Process ? STATUS_SUCCESS : STATUS_INVALID_CID;
}

NTSTATUS PsLookupThreadByThreadId(HANDLE ThreadId, PETHREAD* Thread) {
  require_irql_at_most(APC_LEVEL, "PsLookupThreadByThreadId");
  if (const NTSTATUS failed = the_machine().injected_failure(machine::failure::object_lookup); failed != STATUS_SUCCESS) return failed;
  *Thread = the_machine().processes.reference_thread(HandleToULong(ThreadId));
  return *Thread ? STATUS_SUCCESS : STATUS_INVALID_CID;
}

NTSTATUS PsGetProcessExitStatus(PEPROCESS Process) {
  return Process->exit_status;
}
NTSTATUS PsGetThreadExitStatus(PETHREAD Thread) {
  return Thread->exit_status;
}
BOOLEAN PsIsThreadTerminating(PETHREAD Thread) {
  return Thread->terminating;
}
BOOLEAN PsIsSystemThread(PETHREAD Thread) {
  return Thread->system;
}
LONGLONG PsGetProcessCreateTimeQuadPart(PEPROCESS Process) {
  return static_cast<LONGLONG>(Process->create_time);
}
HANDLE PsGetProcessInheritedFromUniqueProcessId(PEPROCESS Process) {
  return as_handle(Process->parent_pid);
}

VOID KeStackAttachProcess(PEPROCESS Process, PRKAPC_STATE ApcState) {
  thread_state& thread = require_irql_at_most(APC_LEVEL, "KeStackAttachProcess");
  ApcState->Process = thread.attached;
  reference_object(Process);
  thread.attached = Process;
}
VOID KeUnstackDetachProcess(PRKAPC_STATE ApcState) {
  thread_state& thread = require_irql_at_most(APC_LEVEL, "KeUnstackDetachProcess");
  if (thread.attached == nullptr) {
    stop(bug::INVALID_PROCESS_DETACH_ATTEMPT, 0, 0, 0, 0, "KeUnstackDetachProcess by a thread that is not attached.");
  }
  dereference_object(thread.attached);
  thread.attached = ApcState->Process;
}

NTSTATUS ZwQueryInformationThread(HANDLE ThreadHandle, THREADINFOCLASS ThreadInformationClass,
                                  PVOID ThreadInformation, ULONG ThreadInformationLength,
                                  PULONG ReturnLength) {
  require_irql_at_most(PASSIVE_LEVEL, "ZwQueryInformationThread");
  if (const NTSTATUS failed = the_machine().injected_failure(machine::failure::thread_query); failed != STATUS_SUCCESS) return failed;
  if (ThreadInformationClass != ThreadQuerySetWin32StartAddress) return STATUS_INVALID_INFO_CLASS;
  if (ThreadInformationLength != sizeof(PVOID)) return STATUS_INFO_LENGTH_MISMATCH;
  PVOID object = nullptr;
  const NTSTATUS status = ObReferenceObjectByHandle(ThreadHandle, THREAD_QUERY_INFORMATION, *PsThreadType,
                                                    KernelMode, &object, nullptr);
  if (!NT_SUCCESS(status)) return status;
  const uint64_t address = static_cast<PETHREAD>(object)->start_address;
  memcpy(ThreadInformation, &address, sizeof(address));
  if (ReturnLength) *ReturnLength = sizeof(PVOID);
  dereference_object(object);
  return STATUS_SUCCESS;
}
}
