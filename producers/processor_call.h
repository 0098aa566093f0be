// One routine on one processor, at DISPATCH_LEVEL: between two sections of whoever writes there, never inside one.
//
// A DPC, queued by a timer that is due at once: kernels queue it then and there, and Wine runs the DPCs of timers and no others.
//
// The routine tells the caller itself that it is done; then the object may be used again, or freed after KeFlushQueuedDpcs: the
// routine may still be on its way out.
#pragma once

#include "producers/processors.h"

namespace sluice {

class processor_call {
 public:
  processor_call() = default;
  processor_call(const processor_call&) = delete;
  processor_call& operator=(const processor_call&) = delete;

  // Any IRQL, not while it is under way. False: that processor does not run (yet). The routine's second argument is `context`.
  [[nodiscard]] bool aim(uint32_t cpu, PKDEFERRED_ROUTINE routine, void* context) {
    KeInitializeTimer(&timer_);
    KeInitializeDpc(&dpc_, routine, context);
    KeSetImportanceDpc(&dpc_, HighImportance);  // or another processor may leave it lying until its next tick
    return set_target_processor(dpc_, cpu);
  }
  // Up to DISPATCH_LEVEL, once aimed; again when the routine has told.
  void start() {
    const LARGE_INTEGER at_once{};
    (void)KeSetTimer(&timer_, at_once, &dpc_);
  }

 private:
  KTIMER timer_;
  KDPC dpc_;
};

}  // namespace sluice
