#include "kernel_port/sim/notify.h"

#include "kernel_port/sim/attachment.h"
#include "kernel_port/sim/callback_call.h"
#include "kernel_port/sim/implementation.h"
#include "kernel_port/sim/paged_memory.h"
#include "kernel_port/sim/system_routine.h"

namespace sluice::sim {
namespace {

enum form : uint32_t { plain, ex, ex2 };

// Normal kernel APCs off, as NT has them around process and image routines.
class critical_region {
 public:
  critical_region() { KeEnterCriticalRegion(); }
  ~critical_region() { KeLeaveCriticalRegion(); }
  critical_region(const critical_region&) = delete;
  critical_region& operator=(const critical_region&) = delete;
};

// A file object as the callbacks see it; lives as long as anyone holds a reference.
class named_file {
 public:
  explicit named_file(const paged_string& name) : file_(create_object<FILE_OBJECT>(file_object_type)) {
    file_->Type = IO_TYPE_FILE;
    file_->Size = sizeof(FILE_OBJECT);
    if (name.get()) file_->FileName = *name.get();
  }
  ~named_file() {
    file_->FileName = {};
    dereference_object(file_);
  }
  named_file(const named_file&) = delete;
  named_file& operator=(const named_file&) = delete;
  PFILE_OBJECT get() const { return file_; }

 private:
  PFILE_OBJECT file_;
};

}  // namespace

NTSTATUS notify_registry::add(void* routine, uint32_t form, uint64_t flags, uint32_t limit, NTSTATUS full,
                              bool refuse_duplicate) {
  if (const NTSTATUS failed = the_machine().injected_failure(machine::failure::notify_registration); failed != STATUS_SUCCESS) return failed;
  internal_lock lock(mutex_);
  notify_slot* empty = nullptr;
  uint32_t index = 0;
  for (uint32_t i = limit; i-- > 0;) {
    notify_slot& slot = slots_[i];
    if (!slot.taken) {
      empty = &slot;
      index = i;
    } else if (refuse_duplicate && slot.form == form &&
               slot.routine.load(std::memory_order_relaxed) == routine) {
      return STATUS_INVALID_PARAMETER;
    }
  }
  if (!empty) return full;
  empty->taken = true;
  empty->form = form;
  empty->flags = flags;
  empty->driver = self().driver;
  empty->routine.store(routine);  // whoever sees it sees the rest
  if (used_.load(std::memory_order_relaxed) <= index) used_.store(index + 1, std::memory_order_release);
  return STATUS_SUCCESS;
}

NTSTATUS notify_registry::remove(void* routine, uint32_t form, const char* function) {
  thread_state& thread = self();
  notify_slot* found = nullptr;
  {
    internal_lock lock(mutex_);
    for (notify_slot& slot : slots_) {
      if (!slot.taken || slot.form != form || slot.routine.load(std::memory_order_relaxed) != routine)
        continue;
      for (uint32_t i = 0; i < thread.notify_depth; ++i) {
        if (thread.notify_active[i] == &slot) {
          stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x1000, as_argument(routine), 0, 0,
               "%s from inside the routine itself: it waits for the routine to return, for ever.", function);
        }
      }
      found = &slot;
      found->remover.store(&thread.host->park);
      found->routine.store(nullptr);  // seq_cst: pairs with for_each
      break;
    }
  }
  if (!found) return STATUS_PROCEDURE_NOT_FOUND;
  while (found->running.load() != 0) the_scheduler.wait(thread.host->park);
  internal_lock lock(mutex_);
  found->remover.store(nullptr);
  found->taken = false;
  return STATUS_SUCCESS;
}

void notify_registry::leave(notify_slot& slot) {
  if (slot.running.fetch_sub(1) == 1) {
    // Parkers outlive their threads' attachment, so a late wake disturbs at most a wait that looks again.
    if (parker* remover = slot.remover.load()) the_scheduler.wake(*remover);
  }
}

uint64_t notify_registry::count() {
  internal_lock lock(mutex_);
  uint64_t count = 0;
  for (const notify_slot& slot : slots_) count += slot.taken;
  return count;
}

const void* notify_registry::find_of(const driver_record* driver, bool any) {
  internal_lock lock(mutex_);
  for (const notify_slot& slot : slots_) {
    if (slot.taken && (any || slot.driver == driver)) return slot.routine.load();
  }
  return nullptr;
}

NTSTATUS notify_registries::process_created(PEPROCESS object, const process_creation& creation,
                                            const thread_state& creator) {
  if (process.empty()) return STATUS_SUCCESS;
  const paged_string image_path(creation.image_path);
  const paged_string command_line(creation.command_line);
  const named_file file(image_path);
  PS_CREATE_NOTIFY_INFO info{};
  info.Size = sizeof(info);
  info.FileOpenNameAvailable = creation.file_open_name_available && image_path.get();
  info.IsSubsystemProcess = creation.subsystem_process;
  info.ParentProcessId = as_handle(creation.parent_pid);
  info.CreatingThreadId = {as_handle(creator.host->pid), as_handle(creator.host->tid)};
  info.FileObject = file.get();
  info.ImageFileName = image_path.get();
  info.CommandLine = command_line.get();
  info.CreationStatus = STATUS_SUCCESS;
  const critical_region region;
  process.for_each([&](notify_slot& slot, void* routine) {
    if (creation.subsystem_process && slot.form != ex2) return;
    process_create_.fetch_add(1, std::memory_order_relaxed);
    call_routine(slot, routine, "A process notify routine", [&] {
      if (slot.form == plain) {
        reinterpret_cast<PCREATE_PROCESS_NOTIFY_ROUTINE>(routine)(as_handle(creation.parent_pid), as_handle(creation.pid),
                                                                  TRUE);
      } else {
        reinterpret_cast<PCREATE_PROCESS_NOTIFY_ROUTINE_EX>(routine)(object, as_handle(creation.pid), &info);
      }
    });
  });
  return info.CreationStatus;
}

void notify_registries::process_exited(PEPROCESS object) {
  if (process.empty()) return;
  const critical_region region;
  process.for_each([&](notify_slot& slot, void* routine) {
    if (object->subsystem && slot.form != ex2) return;
    process_exit_.fetch_add(1, std::memory_order_relaxed);
    call_routine(slot, routine, "A process notify routine", [&] {
      if (slot.form == plain) {
        reinterpret_cast<PCREATE_PROCESS_NOTIFY_ROUTINE>(routine)(as_handle(object->parent_pid), as_handle(object->pid),
                                                                  FALSE);
      } else {
        reinterpret_cast<PCREATE_PROCESS_NOTIFY_ROUTINE_EX>(routine)(object, as_handle(object->pid), nullptr);
      }
    });
  });
}

namespace {

bool wants_thread(const notify_slot& slot, PETHREAD thread) {
  if (slot.form == plain) return !thread->process->subsystem;
  if (slot.flags == PsCreateThreadNotifyNonSystem) return !thread->system && !thread->process->subsystem;
  return true;
}

}  // namespace

void notify_registries::thread_created(PETHREAD object) {
  thread.for_each([&](notify_slot& slot, void* routine) {
    if (!wants_thread(slot, object)) return;
    thread_create_.fetch_add(1, std::memory_order_relaxed);
    const auto call = [&] {
      call_routine(slot, routine, "A thread notify routine", [&] {
        reinterpret_cast<PCREATE_THREAD_NOTIFY_ROUTINE>(routine)(as_handle(object->pid), as_handle(object->tid), TRUE);
      });
    };
    if (slot.form == ex && slot.flags == PsCreateThreadNotifyNonSystem) {
      // In the new thread itself, before its first instruction.
      const identity new_thread(object->pid, object->tid);
      call();
    } else {
      at_allowed_irql(call);
    }
  });
}

void notify_registries::thread_exited(PETHREAD object) {
  thread.for_each([&](notify_slot& slot, void* routine) {
    if (!wants_thread(slot, object)) return;
    thread_exit_.fetch_add(1, std::memory_order_relaxed);
    at_allowed_irql([&] {
      call_routine(slot, routine, "A thread notify routine", [&] {
        reinterpret_cast<PCREATE_THREAD_NOTIFY_ROUTINE>(routine)(as_handle(object->pid), as_handle(object->tid), FALSE);
      });
    });
  });
}

void notify_registries::image_loaded(const image_loading& loading) {
  if (image.empty()) return;
  const paged_string path(loading.path);
  const named_file file(path);
  IMAGE_INFO_EX extended{};
  extended.Size = sizeof(extended);
  extended.FileObject = file.get();
  IMAGE_INFO& info = extended.ImageInfo;
  info.ImageAddressingMode = IMAGE_ADDRESSING_MODE_32BIT;
  info.SystemModeImage = loading.system_mode;
  info.ExtendedInfoPresent = the_machine().options.level >= kernel_level::vista;
  info.MachineTypeMismatch = loading.machine_mismatch;
  info.ImageSignatureLevel = loading.signature_level & 0xf;
  info.ImageSignatureType = loading.signature_type & 0x7;
  info.ImageBase = reinterpret_cast<PVOID>(loading.base);
  info.ImageSize = loading.size;
  const critical_region region;
  image.for_each([&](notify_slot& slot, void* routine) {
    if (loading.machine_mismatch && !(slot.flags & PS_IMAGE_NOTIFY_CONFLICTING_ARCHITECTURE)) return;
    image_load_.fetch_add(1, std::memory_order_relaxed);
    call_routine(slot, routine, "An image notify routine", [&] {
      reinterpret_cast<PLOAD_IMAGE_NOTIFY_ROUTINE>(routine)(path.get(), as_handle(loading.pid), &info);
    });
  });
}

raised_counts notify_registries::raised() const {
  raised_counts counts{};
  counts.process_create = process_create_;
  counts.process_exit = process_exit_;
  counts.thread_create = thread_create_;
  counts.thread_exit = thread_exit_;
  counts.image_load = image_load_;
  the_machine().registry.add_to(counts);
  return counts;
}

namespace {

uint32_t process_and_thread_limit() {
  return the_machine().options.level == kernel_level::nt52 ? 8 : 64;
}
uint32_t image_limit() {
  return the_machine().options.level >= kernel_level::windows10 ? 64 : 8;
}

NTSTATUS set_process_routine(void* routine, uint32_t form, BOOLEAN remove, const char* function) {
  require_irql_at_most(PASSIVE_LEVEL, function);
  notify_registry& registry = the_machine().notify.process;
  if (remove) return registry.remove(routine, form, function);
  if (form != plain && !the_machine().options.integrity_checked_images) return STATUS_ACCESS_DENIED;
  return registry.add(routine, form, 0, process_and_thread_limit(), STATUS_INVALID_PARAMETER, true);
}

}  // namespace

namespace late {

NTSTATUS PsSetCreateProcessNotifyRoutineEx(PCREATE_PROCESS_NOTIFY_ROUTINE_EX NotifyRoutine, BOOLEAN Remove) {
  return set_process_routine(reinterpret_cast<void*>(NotifyRoutine), ex, Remove,
                             "PsSetCreateProcessNotifyRoutineEx");
}

NTSTATUS PsSetCreateProcessNotifyRoutineEx2(PSCREATEPROCESSNOTIFYTYPE NotifyType, PVOID NotifyInformation,
                                            BOOLEAN Remove) {
  if (NotifyType != PsCreateProcessNotifySubsystems) return STATUS_INVALID_PARAMETER;
  return set_process_routine(NotifyInformation, ex2, Remove, "PsSetCreateProcessNotifyRoutineEx2");
}

NTSTATUS PsSetCreateThreadNotifyRoutineEx(PSCREATETHREADNOTIFYTYPE NotifyType, PVOID NotifyInformation) {
  require_irql_at_most(PASSIVE_LEVEL, "PsSetCreateThreadNotifyRoutineEx");
  if (NotifyType != PsCreateThreadNotifyNonSystem && NotifyType != PsCreateThreadNotifySubsystems) {
    return STATUS_INVALID_PARAMETER;
  }
  return the_machine().notify.thread.add(NotifyInformation, ex, NotifyType, process_and_thread_limit(),
                                         STATUS_INSUFFICIENT_RESOURCES, false);
}

NTSTATUS PsSetLoadImageNotifyRoutineEx(PLOAD_IMAGE_NOTIFY_ROUTINE NotifyRoutine, ULONG_PTR Flags) {
  require_irql_at_most(PASSIVE_LEVEL, "PsSetLoadImageNotifyRoutineEx");
  if (Flags & ~ULONG_PTR{PS_IMAGE_NOTIFY_CONFLICTING_ARCHITECTURE}) return STATUS_INVALID_PARAMETER_2;
  return the_machine().notify.image.add(reinterpret_cast<void*>(NotifyRoutine), plain, Flags, image_limit(),
                                        STATUS_INSUFFICIENT_RESOURCES, false);
}

}  // namespace late

}  // namespace sluice::sim

using namespace sluice::sim;

extern "C" {

NTSTATUS PsSetCreateProcessNotifyRoutine(PCREATE_PROCESS_NOTIFY_ROUTINE NotifyRoutine, BOOLEAN Remove) {
  return set_process_routine(reinterpret_cast<void*>(NotifyRoutine), plain, Remove,
                             "PsSetCreateProcessNotifyRoutine");
}

NTSTATUS PsSetCreateThreadNotifyRoutine(PCREATE_THREAD_NOTIFY_ROUTINE NotifyRoutine) {
  require_irql_at_most(PASSIVE_LEVEL, "PsSetCreateThreadNotifyRoutine");
  return the_machine().notify.thread.add(reinterpret_cast<void*>(NotifyRoutine), plain, 0,
                                         process_and_thread_limit(), STATUS_INSUFFICIENT_RESOURCES, false);
}

// Removes what either of the two calls registered.
NTSTATUS PsRemoveCreateThreadNotifyRoutine(PCREATE_THREAD_NOTIFY_ROUTINE NotifyRoutine) {
  constexpr const char* function = "PsRemoveCreateThreadNotifyRoutine";
  require_irql_at_most(PASSIVE_LEVEL, function);
  notify_registry& registry = the_machine().notify.thread;
  const NTSTATUS status = registry.remove(reinterpret_cast<void*>(NotifyRoutine), plain, function);
  return status == STATUS_PROCEDURE_NOT_FOUND
             ? registry.remove(reinterpret_cast<void*>(NotifyRoutine), ex, function)
             : status;
}

NTSTATUS PsSetLoadImageNotifyRoutine(PLOAD_IMAGE_NOTIFY_ROUTINE NotifyRoutine) {
  require_irql_at_most(PASSIVE_LEVEL, "PsSetLoadImageNotifyRoutine");
  return the_machine().notify.image.add(reinterpret_cast<void*>(NotifyRoutine), plain, 0, image_limit(),
                                        STATUS_INSUFFICIENT_RESOURCES, false);
}

NTSTATUS PsRemoveLoadImageNotifyRoutine(PLOAD_IMAGE_NOTIFY_ROUTINE NotifyRoutine) {
  constexpr const char* function = "PsRemoveLoadImageNotifyRoutine";
  require_irql_at_most(PASSIVE_LEVEL, function);
  return the_machine().notify.image.remove(reinterpret_cast<void*>(NotifyRoutine), plain, function);
}
}
