#include "producers/thread_producer.h"

#include "producers/payload_strings.h"

namespace sluice {
namespace {

thread_producer* running = nullptr;

constexpr auto query_win32_start_address = static_cast<THREADINFOCLASS>(9);  // ThreadQuerySetWin32StartAddress

// The address where the thread will start in user mode. Opening a handle is legal at PASSIVE_LEVEL only.
bool start_address_of(HANDLE tid, uint64_t& address) {
  if (KeGetCurrentIrql() != PASSIVE_LEVEL) return false;
  PETHREAD thread = nullptr;
  if (!NT_SUCCESS(PsLookupThreadByThreadId(tid, &thread))) return false;
  HANDLE handle = nullptr;
  const NTSTATUS opened = ObOpenObjectByPointer(thread, OBJ_KERNEL_HANDLE, nullptr, THREAD_QUERY_INFORMATION, nullptr,
                                                KernelMode, &handle);
  ObDereferenceObject(thread);
  if (!NT_SUCCESS(opened)) return false;
  PVOID start = nullptr;
  const NTSTATUS queried =
      ZwQueryInformationThread(handle, query_win32_start_address, &start, sizeof start, nullptr);
  ZwClose(handle);
  address = reinterpret_cast<uintptr_t>(start);
  return NT_SUCCESS(queried);
}

bool keeps(event_decision& decision, HANDLE pid, uint64_t start_address) {
  return decision.keeps(event_decision::context(), [&](key_hash& key) {
    key.add(process_id_of(pid));
    key.add(start_address);
  });
}

}  // namespace

NTSTATUS thread_producer::start(channel& to, first_threads& threads, bool processes_seen) {
  PAGED_CODE();
  channel_ = &to;
  threads_ = &threads;
  processes_seen_ = processes_seen;
  callbacks_.start();
  running = this;
  const NTSTATUS status = PsSetCreateThreadNotifyRoutine(&on_notify);
  if (NT_SUCCESS(status)) registered_ = protocol::registration::plain;
  return status;
}

void thread_producer::stop() {
  PAGED_CODE();
  if (registered_ == protocol::registration::none) return;
  callbacks_.end();
  (void)PsRemoveCreateThreadNotifyRoutine(&on_notify);
  registered_ = protocol::registration::none;
  running = nullptr;
}

VOID NTAPI thread_producer::on_notify(HANDLE pid, HANDLE tid, BOOLEAN create) {
  thread_producer& self = *running;
  const rundown_reference reference(self.callbacks_);
  if (!reference) return;
  if (create) {
    self.created(pid, tid);
  } else {
    self.exited(pid, tid);
  }
}

void thread_producer::created(HANDLE pid, HANDLE tid) {
  const bool first = threads_->take(process_id_of(pid));
  if (!channel_->is_on(event_type_thread_create)) return;
  event_decision decision(channel_->filter(), event_type_thread_create);
  if (!decision.wants(process_id_of(pid))) return;
  uint32_t flags = 0;
  uint64_t address = 0;
  if (!start_address_of(tid, address)) flags |= thread_flag_no_start_address;
  if (!keeps(decision, pid, address)) return;

  reservation record;
  if (!channel_->reserve_event(event_type_thread_create, sizeof(thread_payload), record)) return;
  auto& payload = *reinterpret_cast<thread_payload*>(record.payload());
  if (payload.context.pid != process_id_of(pid) && !first) {
    flags |= thread_flag_remote;
    if (!processes_seen_ || threads_->overflowed()) flags |= thread_flag_remote_uncertain;
  }
  payload.pid = process_id_of(pid);
  payload.tid = process_id_of(tid);
  payload.creator_pid = payload.context.pid;  // the plain routine runs in the creator
  payload.creator_tid = payload.context.tid;
  payload.start_address = address;
  payload.flags = flags;
  payload.reserved = 0;
  record.commit();
}

void thread_producer::exited(HANDLE pid, HANDLE tid) {
  if (!channel_->is_on(event_type_thread_exit)) return;
  event_decision decision(channel_->filter(), event_type_thread_exit);
  if (!decision.wants(process_id_of(pid))) return;
  uint64_t address = 0;
  uint32_t flags = 0;
  if (!start_address_of(tid, address)) flags |= thread_flag_no_start_address;
  if (!keeps(decision, pid, address)) return;

  reservation record;
  if (!channel_->reserve_event(event_type_thread_exit, sizeof(thread_payload), record)) return;
  auto& payload = *reinterpret_cast<thread_payload*>(record.payload());
  payload.pid = process_id_of(pid);
  payload.tid = process_id_of(tid);
  payload.creator_pid = 0;
  payload.creator_tid = 0;
  payload.start_address = address;
  payload.flags = flags;
  payload.reserved = 0;
  record.commit();
}

}  // namespace sluice
