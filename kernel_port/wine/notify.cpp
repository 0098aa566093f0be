#include "kernel_port/wine/notify.h"

#include <array>
#include <atomic>

#include "kernel_port/wine/imports.h"
#include "kernel_port/wine/rules.h"

namespace sluice::wine {
namespace {

HANDLE id_of(uint32_t number) { return reinterpret_cast<HANDLE>(uintptr_t{number}); }

// The routines of one kind. Removing waits for those that run.
class routine_list {
 public:
  NTSTATUS add(PVOID routine) {
    for (auto& each : places_) {
      PVOID free = nullptr;
      if (each.load() == routine) return STATUS_INVALID_PARAMETER;
      if (each.compare_exchange_strong(free, routine)) return STATUS_SUCCESS;
    }
    return STATUS_INSUFFICIENT_RESOURCES;
  }
  NTSTATUS remove(PVOID routine) {
    for (auto& each : places_) {
      PVOID expected = routine;
      if (!each.compare_exchange_strong(expected, nullptr)) continue;
      while (running_.load() != 0) Sleep(1);
      return STATUS_SUCCESS;
    }
    return STATUS_PROCEDURE_NOT_FOUND;
  }
  bool any() const {
    for (const auto& each : places_) {
      if (each.load() != nullptr) return true;
    }
    return false;
  }
  // In a critical region, as the kernel calls them.
  template <class function, class... arguments>
  bool call(arguments... given) {
    bool called = false;
    running_.fetch_add(1);
    ++this_thread().critical_regions;
    for (auto& each : places_) {
      PVOID const routine = each.load();
      if (routine == nullptr) continue;
      reinterpret_cast<function>(routine)(given...);
      called = true;
      if (this_thread().irql != PASSIVE_LEVEL) report_violation("a notify routine returned at another IRQL");
    }
    --this_thread().critical_regions;
    running_.fetch_sub(1);
    return called;
  }

 private:
  std::array<std::atomic<PVOID>, 8> places_{};
  std::atomic<uint32_t> running_{0};
};

routine_list process_ex_routines;
routine_list process_routines;
routine_list thread_routines;
routine_list image_routines;

NTSTATUS change(routine_list& list, PVOID routine, BOOLEAN remove) {
  return remove ? list.remove(routine) : list.add(routine);
}

NTSTATUS NTAPI set_process_ex2(PSCREATEPROCESSNOTIFYTYPE type, PVOID routine, BOOLEAN remove) {
  return type == PsCreateProcessNotifySubsystems ? change(process_ex_routines, routine, remove) : STATUS_INVALID_PARAMETER;
}
NTSTATUS NTAPI set_process_ex(PCREATE_PROCESS_NOTIFY_ROUTINE_EX routine, BOOLEAN remove) {
  return change(process_ex_routines, address_of(routine), remove);
}
NTSTATUS NTAPI set_process(PCREATE_PROCESS_NOTIFY_ROUTINE routine, BOOLEAN remove) {
  return change(process_routines, address_of(routine), remove);
}
NTSTATUS NTAPI set_thread(PCREATE_THREAD_NOTIFY_ROUTINE routine) { return thread_routines.add(address_of(routine)); }
NTSTATUS NTAPI remove_thread(PCREATE_THREAD_NOTIFY_ROUTINE routine) { return thread_routines.remove(address_of(routine)); }
NTSTATUS NTAPI set_image(PLOAD_IMAGE_NOTIFY_ROUTINE routine) { return image_routines.add(address_of(routine)); }
NTSTATUS NTAPI set_image_ex(PLOAD_IMAGE_NOTIFY_ROUTINE routine, ULONG_PTR flags) {
  return (flags & ~ULONG_PTR{PS_IMAGE_NOTIFY_CONFLICTING_ARCHITECTURE}) == 0 ? image_routines.add(address_of(routine))
                                                                             : STATUS_INVALID_PARAMETER;
}
NTSTATUS NTAPI remove_image(PLOAD_IMAGE_NOTIFY_ROUTINE routine) { return image_routines.remove(address_of(routine)); }

const kernel_function table[] = {
    {"PsSetCreateProcessNotifyRoutineEx2", address_of(&set_process_ex2), PASSIVE_LEVEL},
    {"PsSetCreateProcessNotifyRoutineEx", address_of(&set_process_ex), PASSIVE_LEVEL},
    {"PsSetCreateProcessNotifyRoutine", address_of(&set_process), PASSIVE_LEVEL},
    {"PsSetCreateThreadNotifyRoutine", address_of(&set_thread), PASSIVE_LEVEL},
    {"PsRemoveCreateThreadNotifyRoutine", address_of(&remove_thread), PASSIVE_LEVEL},
    {"PsSetLoadImageNotifyRoutine", address_of(&set_image), PASSIVE_LEVEL},
    {"PsSetLoadImageNotifyRoutineEx", address_of(&set_image_ex), PASSIVE_LEVEL},
    {"PsRemoveLoadImageNotifyRoutine", address_of(&remove_image), PASSIVE_LEVEL},
};

}  // namespace

bool process_routine_registered() { return process_ex_routines.any() || process_routines.any(); }

bool raise_process_create(const process_start& what, NTSTATUS& creation_status) {
  PEPROCESS const process = reinterpret_cast<PEPROCESS>(process_of(what.pid));
  PS_CREATE_NOTIFY_INFO info{};
  info.Size = sizeof info;
  info.FileOpenNameAvailable = what.image != nullptr;
  info.ParentProcessId = id_of(what.parent_pid);
  info.CreatingThreadId = {id_of(current_pid()), this_thread().stands_in ? id_of(this_thread().tid) : PsGetCurrentThreadId()};
  info.ImageFileName = what.image;
  info.CommandLine = what.command;
  const bool plain = process_routines.call<PCREATE_PROCESS_NOTIFY_ROUTINE>(id_of(what.parent_pid), id_of(what.pid), TRUE);
  const bool ex = process_ex_routines.call<PCREATE_PROCESS_NOTIFY_ROUTINE_EX>(process, id_of(what.pid), &info);
  creation_status = info.CreationStatus;
  return plain || ex;
}

bool raise_process_exit(uint32_t pid, int32_t exit_status) {
  process_object* const ended = end_process(pid, exit_status);
  const bool plain = process_routines.call<PCREATE_PROCESS_NOTIFY_ROUTINE>(HANDLE{}, id_of(pid), FALSE);
  const bool ex = process_ex_routines.call<PCREATE_PROCESS_NOTIFY_ROUTINE_EX>(reinterpret_cast<PEPROCESS>(ended), id_of(pid),
                                                                              PPS_CREATE_NOTIFY_INFO{});
  forget_process(ended);
  return plain || ex;
}

bool raise_thread(uint32_t pid, uint32_t tid, bool create) {
  return thread_routines.call<PCREATE_THREAD_NOTIFY_ROUTINE>(id_of(pid), id_of(tid), static_cast<BOOLEAN>(create));
}

bool raise_image_load(UNICODE_STRING* path, uint32_t pid, uint64_t base, uint64_t size, bool system) {
  IMAGE_INFO_EX info{};
  info.Size = sizeof info;
  info.ImageInfo.ImageAddressingMode = 3;  // IMAGE_ADDRESSING_MODE_32BIT, as ever
  info.ImageInfo.SystemModeImage = system;
  info.ImageInfo.ExtendedInfoPresent = 1;
  info.ImageInfo.ImageBase = reinterpret_cast<PVOID>(base);
  info.ImageInfo.ImageSize = size;
  return image_routines.call<PLOAD_IMAGE_NOTIFY_ROUTINE>(path, id_of(pid), &info.ImageInfo);
}

std::span<const kernel_function> notify_functions() { return table; }

}  // namespace sluice::wine
