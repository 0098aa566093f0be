// Processors that are added while the machine runs, and the callbacks that are told (KeRegisterProcessorChangeCallback).
//
// One addition or registration at a time, at PASSIVE_LEVEL, so that each callback is told of each processor once:
//   StartNotify      in order of registration, before anything runs on the processor; a callback can refuse it
//   CompleteNotify   the processor runs
//   FailureNotify    to everybody who was told of the start, if one of them refused
#pragma once

#include <list>
#include <thread>

#include "kernel_port/sim/internal_lock.h"
#include "kernel_port/sim/machine.h"
#include "kernel_port/sim/object.h"

namespace sluice::sim {

class processor_changes {
 public:
  NTSTATUS add_processor(machine::implementation& machine);
  PVOID add(PPROCESSOR_CALLBACK_FUNCTION function, PVOID context, ULONG flags);
  void remove(PVOID handle);

  uint64_t count();
  const void* find_of(const driver_record* driver, bool any = false);

 private:
  struct callback {
    PPROCESSOR_CALLBACK_FUNCTION function;
    PVOID context;
    driver_record* driver;
  };
  NTSTATUS tell(const callback& whom, KE_PROCESSOR_CHANGE_NOTIFY_STATE state, uint32_t cpu, NTSTATUS outcome);

  // Held while callbacks run: they may wait, and it is no lock of the simulation's own kind.
  std::mutex changes_;
  std::atomic<std::thread::id> changing_{};
  internal_mutex list_mutex_;
  std::list<callback> callbacks_;
};

}  // namespace sluice::sim
