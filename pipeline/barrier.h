// The consumer's half of the two store-to-load pairs that no producer pays for.
//
//   producer                              consumer
//   published <- position                 T <- clock                    (merge: pipeline/merge.h)
//   clock read                            barrier
//                                         position
//
//   header <- committed                   announcement <- asleep        (sleep: pipeline/wake.h)
//   announcement?                         barrier
//                                         states
//
// Without a fence in the producer its store may become visible after its load was done. The consumer closes that hole:
//   exact_order   a barrier on every CPU between the two steps (membarrier in user builds). A producer that had done its
//                 load before the barrier has made its store visible by then; one that had not does its load later.
//   slack_order   no barrier: T is now minus a margin far above the time that a store takes to become visible. The
//                 assumption is that stores become visible within the margin; where it does not hold, a record older than
//                 what was emitted is delivered, marked late and counted.
//
// A policy gives: take_bound(clock) -> T, such that every record stamped before T is visible afterwards; and
// settle(clock), after which every close that came before without seeing an announcement is visible. Freestanding.
#pragma once

#include "pipeline/atomic.h"

namespace sluice {

// `barrier` is callable: a full barrier on every CPU that may run a producer.
template <class barrier>
class exact_order {
 public:
  explicit exact_order(barrier run = barrier()) : barrier_(run) {}

  template <class clock>
  uint64_t take_bound(clock& source) {
    const uint64_t bound = source.now();
    compiler_barrier();
    barrier_();
    return bound;
  }

  // The pass that follows an announcement runs its own barrier: announce, T, barrier, look.
  template <class clock>
  uint64_t ticks_to_settle(clock&) const {
    return 0;
  }

 private:
  barrier barrier_;
};

class slack_order {
 public:
  explicit slack_order(uint64_t margin_ticks) : margin_(margin_ticks) {}

  template <class clock>
  uint64_t take_bound(clock& source) {
    const uint64_t now = source.now();
    compiler_barrier();
    return now > margin_ ? now - margin_ : 0;
  }

  // How long to let pass between an announcement and the look that may lead to sleep.
  template <class clock>
  uint64_t ticks_to_settle(clock&) const {
    return margin_;
  }

 private:
  uint64_t margin_;
};

}  // namespace sluice
