// Process and thread objects, as drivers see them: of processes in the prefix, and of those that a test makes up. Any thread.
//
// A pid names one process at a time. An object lives while its process does or somebody has a reference.
#pragma once

#include "kernel_port/wine/irql.h"

namespace sluice::wine {

struct process_object {
  uint32_t references;  // 0: a free place
  uint32_t pid;
  bool alive;
  int64_t create_time;
  uint64_t start_key;
  int32_t exit_status;
};

// The live process of this number; it becomes known if it is not. Null: no room.
process_object* process_of(uint32_t pid);
// It has ended: found by its object, and by lookups until forget_process.
process_object* end_process(uint32_t pid, int32_t exit_status);
void forget_process(process_object* process);

// A thread that a test makes up. Until forget_thread, lookups of `tid` give it.
void know_thread(uint32_t tid, uint32_t pid, uint64_t start_address);
void forget_thread(uint32_t tid);

uint32_t current_pid();
uint32_t attached_process();  // whose address space is the current one

// In whose process and thread the caller appears to run, and on which virtual CPU.
class stand_in {
 public:
  stand_in(uint32_t pid, uint32_t tid, uint32_t cpu);
  ~stand_in();
  stand_in(const stand_in&) = delete;
  stand_in& operator=(const stand_in&) = delete;

 private:
  irql_scope where_;
  thread_state before_;
};

}  // namespace sluice::wine
