// Notify routines for processes, threads and images: drivers register them, what happens in the prefix and what a test injects raises
// them. Raising: any thread at PASSIVE_LEVEL, inside a stand_in. Returns false if nobody is registered.
#pragma once

#include <string_view>

#include "kernel_port/wine/processes.h"

namespace sluice::wine {

struct process_start {
  uint32_t pid;
  uint32_t parent_pid;
  const UNICODE_STRING* image;    // null: the kernel has none
  const UNICODE_STRING* command;
};

bool raise_process_create(const process_start& what, NTSTATUS& creation_status);
bool raise_process_exit(uint32_t pid, int32_t exit_status);
bool raise_thread(uint32_t pid, uint32_t tid, bool create);
bool raise_image_load(UNICODE_STRING* path, uint32_t pid, uint64_t base, uint64_t size, bool system);
bool process_routine_registered();

}  // namespace sluice::wine
