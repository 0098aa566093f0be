// One routine on one processor, at DISPATCH_LEVEL: between two sections of whoever writes there, never inside one.
//
// A DPC, queued by a timer that is due at once: kernels queue it then and there, and some run no other DPCs
// (docs/decisions/0018). The timer is a fresh one each time: those kernels take a timer amiss that is set again while its DPC returns.
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

  // Up to DISPATCH_LEVEL; again when the routine has told. False: that processor does not run (yet), and nothing was begun. The
  // routine's second argument is `context`.
  [[nodiscard]] bool start(uint32_t cpu, PKDEFERRED_ROUTINE routine, void* context) {
    KeInitializeTimer(&timer_);
    KeInitializeDpc(&dpc_, routine, context);
    KeSetImportanceDpc(&dpc_, HighImportance);  // or another processor may leave it lying until its next tick
    if (!set_target_processor(dpc_, cpu)) return false;
    const LARGE_INTEGER at_once{};
    (void)KeSetTimer(&timer_, at_once, &dpc_);
    return true;
  }

 private:
  KTIMER timer_;
  KDPC dpc_;
};

}  // namespace sluice
