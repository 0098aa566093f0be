#include "producers/process_producer.h"

#include "producers/payload_strings.h"

namespace sluice {
namespace {

// Notify routines get no context of ours. Set before registration, cleared after removal has waited.
process_producer* running = nullptr;

}  // namespace

NTSTATUS process_producer::start(channel& to, const kernel_functions& functions, first_threads& threads,
                                 const exit_listener& listener) {
  PAGED_CODE();
  channel_ = &to;
  threads_ = &threads;
  listener_ = listener;
  functions_ = &functions;
  callbacks_.start();
  running = this;
  // Ex and Ex2 answer STATUS_ACCESS_DENIED to an image that is not linked with FORCE_INTEGRITY: then the next best.
  if (functions.PsSetCreateProcessNotifyRoutineEx2 != nullptr) {
    const NTSTATUS status = functions.PsSetCreateProcessNotifyRoutineEx2(
        PsCreateProcessNotifySubsystems, reinterpret_cast<PVOID>(&on_notify_ex), FALSE);
    if (NT_SUCCESS(status)) registered_ = protocol::registration::ex2;
    if (NT_SUCCESS(status) || status != STATUS_ACCESS_DENIED) return status;
  }
  if (functions.PsSetCreateProcessNotifyRoutineEx != nullptr) {
    const NTSTATUS status = functions.PsSetCreateProcessNotifyRoutineEx(&on_notify_ex, FALSE);
    if (NT_SUCCESS(status)) registered_ = protocol::registration::ex;
    if (NT_SUCCESS(status) || status != STATUS_ACCESS_DENIED) return status;
  }
  const NTSTATUS status = PsSetCreateProcessNotifyRoutine(&on_notify_plain, FALSE);
  if (NT_SUCCESS(status)) registered_ = protocol::registration::plain;
  return status;
}

void process_producer::stop() {
  PAGED_CODE();
  if (registered_ == protocol::registration::none) return;
  // New callbacks turn away and running ones are waited for, whatever the removal promises; then the removal itself.
  callbacks_.end();
  switch (registered_) {
    case protocol::registration::ex2:
      (void)functions_->PsSetCreateProcessNotifyRoutineEx2(PsCreateProcessNotifySubsystems, reinterpret_cast<PVOID>(&on_notify_ex),
                                                           TRUE);
      break;
    case protocol::registration::ex: (void)functions_->PsSetCreateProcessNotifyRoutineEx(&on_notify_ex, TRUE); break;
    case protocol::registration::plain: (void)PsSetCreateProcessNotifyRoutine(&on_notify_plain, TRUE); break;
    case protocol::registration::none: break;
  }
  registered_ = protocol::registration::none;
  running = nullptr;
}

VOID NTAPI process_producer::on_notify_ex(PEPROCESS process, HANDLE pid, PPS_CREATE_NOTIFY_INFO info) {
  process_producer& self = *running;
  const rundown_reference reference(self.callbacks_);
  if (!reference) return;
  if (info != nullptr) {
    self.created(process, pid, *info);
  } else {
    self.exited(process, pid);
  }
}

VOID NTAPI process_producer::on_notify_plain(HANDLE parent_pid, HANDLE pid, BOOLEAN create) {
  process_producer& self = *running;
  const rundown_reference reference(self.callbacks_);
  if (!reference) return;
  if (create) {
    self.created_plain(parent_pid, pid);
    return;
  }
  PEPROCESS process = nullptr;
  if (!NT_SUCCESS(PsLookupProcessByProcessId(pid, &process))) process = nullptr;
  self.exited(process, pid);
  if (process != nullptr) ObDereferenceObject(process);
}

uint64_t process_producer::start_key(PEPROCESS process, uint32_t& flags) const {
  if (process != nullptr && functions_->PsGetProcessStartKey != nullptr) return functions_->PsGetProcessStartKey(process);
  flags |= process_flag_no_start_key;
  return process != nullptr ? static_cast<uint64_t>(PsGetProcessCreateTimeQuadPart(process)) : 0;
}

void process_producer::created(PEPROCESS process, HANDLE pid, const PS_CREATE_NOTIFY_INFO& info) {
  threads_->process_created(process_id_of(pid));
  channel_->filter().process_started(process_id_of(pid), process_id_of(info.ParentProcessId));
  if (!channel_->is_on(event_type_process_create)) return;
  event_decision decision(channel_->filter(), event_type_process_create);
  if (!decision.wants(process_id_of(pid))) return;
  uint32_t flags = 0;
  const uint64_t key = start_key(process, flags);
  const uint32_t bound = (channel_->max_payload() - sizeof(process_create_payload)) / 2;
  const kernel_string image(info.ImageFileName, bound);
  const kernel_string command(info.CommandLine, bound);
  if (!decision.keeps_image(image.judged(), [&](key_hash& same) {
        same.add(image.bytes, image.original_length);
        same.add(command.bytes, command.original_length);
      })) {
    return;
  }

  reservation record;
  const uint32_t length = sizeof(process_create_payload) + image.stored_length + command.stored_length;
  if (!channel_->reserve_event(event_type_process_create, length, record)) return;
  auto& payload = *reinterpret_cast<process_create_payload*>(record.payload());
  if (info.IsSubsystemProcess) flags |= process_flag_subsystem;
  if (info.FileOpenNameAvailable) flags |= process_flag_exact_image_path;
  if (!NT_SUCCESS(info.CreationStatus)) flags |= process_flag_denied;
  payload.pid = process_id_of(pid);
  payload.parent_pid = process_id_of(info.ParentProcessId);
  payload.creating_pid = process_id_of(info.CreatingThreadId.UniqueProcess);
  payload.creating_tid = process_id_of(info.CreatingThreadId.UniqueThread);
  payload.start_key = key;
  payload.flags = flags;
  payload.reserved = 0;
  const uint32_t end = image.copy(record.payload(), sizeof payload, payload.image_path);
  command.copy(record.payload(), end, payload.command_line);
  record.commit();
}

void process_producer::created_plain(HANDLE parent_pid, HANDLE pid) {
  threads_->process_created(process_id_of(pid));
  channel_->filter().process_started(process_id_of(pid), process_id_of(parent_pid));
  if (!channel_->is_on(event_type_process_create)) return;
  event_decision decision(channel_->filter(), event_type_process_create);
  if (!decision.wants(process_id_of(pid)) || !decision.keeps_unidentified()) return;
  PEPROCESS process = nullptr;
  if (!NT_SUCCESS(PsLookupProcessByProcessId(pid, &process))) process = nullptr;
  uint32_t flags = process_flag_no_details;
  const uint64_t key = start_key(process, flags);
  if (process != nullptr) ObDereferenceObject(process);

  reservation record;
  if (!channel_->reserve_event(event_type_process_create, sizeof(process_create_payload), record)) return;
  auto& payload = *reinterpret_cast<process_create_payload*>(record.payload());
  payload.pid = process_id_of(pid);
  payload.parent_pid = process_id_of(parent_pid);
  payload.creating_pid = payload.context.pid;  // the plain routine runs in the creating thread, too
  payload.creating_tid = payload.context.tid;
  payload.start_key = key;
  payload.flags = flags;
  payload.reserved = 0;
  const kernel_string none(nullptr, 0);
  none.copy(record.payload(), sizeof payload, payload.image_path);
  none.copy(record.payload(), sizeof payload, payload.command_line);
  record.commit();
}

void process_producer::exited(PEPROCESS process, HANDLE pid) {
  if (listener_.exited != nullptr) listener_.exited(listener_.context, pid);
  (void)threads_->take(process_id_of(pid));  // a process that never had a thread leaves no trace in the table
  write_exit(process, pid);
  channel_->filter().process_exited(process_id_of(pid));  // its last event was still its own
}

void process_producer::write_exit(PEPROCESS process, HANDLE pid) {
  if (!channel_->is_on(event_type_process_exit)) return;
  event_decision decision(channel_->filter(), event_type_process_exit);
  if (!decision.wants(process_id_of(pid))) return;
  uint32_t flags = 0;
  const uint64_t key = start_key(process, flags);
  if (!decision.keeps(event_decision::context(), [&](key_hash& same) {
        same.add(process_id_of(pid));
        same.add(key);
      })) {
    return;
  }
  NTSTATUS exit_status = STATUS_SUCCESS;
  if (process != nullptr) {
    exit_status = PsGetProcessExitStatus(process);
  } else {
    flags |= process_flag_no_exit_status;
  }

  reservation record;
  if (!channel_->reserve_event(event_type_process_exit, sizeof(process_exit_payload), record)) return;
  auto& payload = *reinterpret_cast<process_exit_payload*>(record.payload());
  payload.pid = process_id_of(pid);
  payload.exit_status = exit_status;
  payload.start_key = key;
  payload.flags = flags;
  payload.reserved = 0;
  record.commit();
}

}  // namespace sluice
