// Makes the calling host thread a thread of the machine while it lives: the one way in, for activities,
// system threads, DPC workers and the callers of file operations.
#pragma once

#include "kernel_port/sim/machine.h"
#include "kernel_port/sim/thread_state.h"

namespace sluice::sim {

class attachment {
 public:
  attachment(machine::implementation& machine, uint32_t cpu, uint32_t pid, uint32_t tid);
  ~attachment();
  attachment(const attachment&) = delete;
  attachment& operator=(const attachment&) = delete;

 private:
  machine::implementation& machine_;
  host_thread* host_;
};

// Acts as another thread while it lives: the same host thread, CPU and IRQL (PASSIVE_LEVEL).
class identity {
 public:
  identity(uint32_t pid, uint32_t tid);
  ~identity();
  identity(const identity&) = delete;
  identity& operator=(const identity&) = delete;

 private:
  uint32_t pid_, tid_;
};
void become(thread_state& thread, uint32_t pid, uint32_t tid);

// The calling host thread, attached already or for the time being: file operations may come from any thread.
class borrowed_thread {
 public:
  borrowed_thread(machine::implementation& machine, uint32_t pid);

 private:
  std::optional<attachment> attachment_;
  std::optional<identity> identity_;
};

}  // namespace sluice::sim
