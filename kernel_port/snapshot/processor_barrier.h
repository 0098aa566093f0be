// A barrier on every processor: returns when each has been at a point outside of any section at DISPATCH_LEVEL since the
// call. What was done in a section that was over by then is visible to the caller; a section that begins later sees
// what the caller did before. A DPC on each processor, so no processor is stopped and none waits for another.
//
// PASSIVE_LEVEL; one caller at a time.
#pragma once

#include "producers/pool.h"
#include "producers/processor_call.h"

namespace sluice {

class processor_barrier {
 public:
  processor_barrier() = default;
  // PASSIVE_LEVEL. The last DPC has told that it is done, and may still be on its way out of our code.
  ~processor_barrier() {
    if (has_run_) KeFlushQueuedDpcs();
  }
  processor_barrier(const processor_barrier&) = delete;
  processor_barrier& operator=(const processor_barrier&) = delete;

  // PASSIVE_LEVEL. False: no memory.
  [[nodiscard]] bool create(const kernel_functions& functions) {
    KeInitializeEvent(&all_done_, SynchronizationEvent, FALSE);
    return calls_.allocate(functions, maximum_processors());
  }

  void run() {
    // A full barrier: what the caller did before comes before the count of processors. One that starts after that has yet to
    // execute anything, and sees it all.
    InterlockedExchange(&outstanding_, 0);
    const uint32_t cpus = active_processors();
    outstanding_ = static_cast<LONG>(cpus);
    for (uint32_t cpu = 0; cpu < cpus; ++cpu) {
      (void)calls_[cpu].start(cpu, &on_cpu, this);  // it runs, and is never removed
    }
    KeWaitForSingleObject(&all_done_, Executive, KernelMode, FALSE, nullptr);
    has_run_ = true;
  }

 private:
  static VOID NTAPI on_cpu(PKDPC, PVOID context, PVOID, PVOID) {
    processor_barrier& self = *static_cast<processor_barrier*>(context);
    // Interlocked: orders what this processor did before against what the caller does after.
    if (InterlockedDecrement(&self.outstanding_) == 0) KeSetEvent(&self.all_done_, IO_NO_INCREMENT, FALSE);
  }

  nonpaged_array<processor_call> calls_;
  LONG outstanding_ = 0;
  KEVENT all_done_{};
  bool has_run_ = false;
};

}  // namespace sluice
