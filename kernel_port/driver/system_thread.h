// A thread of the system process. It is waited for by its handle, which making it gave: nothing more that could fail stands between
// a thread that runs and one that can be waited for.
#pragma once

#include "kernel_port/nt/nt.h"

namespace sluice {

class system_thread {
 public:
  system_thread() = default;
  system_thread(const system_thread&) = delete;
  system_thread& operator=(const system_thread&) = delete;

  // On failure there is no thread.
  [[nodiscard]] _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS start(PKSTART_ROUTINE routine, PVOID context) {
    OBJECT_ATTRIBUTES attributes;
    InitializeObjectAttributes(&attributes, nullptr, OBJ_KERNEL_HANDLE, nullptr, nullptr);
    HANDLE handle = nullptr;
    const NTSTATUS status =
        PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, &attributes, nullptr, nullptr, routine, context);
    if (NT_SUCCESS(status)) handle_ = handle;
    return status;
  }
  bool started() const { return handle_ != nullptr; }
  // Returns when it has ended, which it was told to. Nothing to do if there is none.
  _IRQL_requires_(PASSIVE_LEVEL)
  void join() {
    if (handle_ == nullptr) return;
    (void)ZwWaitForSingleObject(handle_, FALSE, nullptr);
    ZwClose(handle_);
    handle_ = nullptr;
  }

 private:
  HANDLE handle_ = nullptr;  // the kernel's: good in every process
};

}  // namespace sluice
