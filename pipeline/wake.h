// Waking the consumer. The consumer announces how it is about to sleep; whoever closes a record pays one plain load of the
// announcement, and signals only if it asks for that.
//
//   running     nobody signals
//   threshold   signal past so many pending bytes, or for a critical record. Only together with a timed sleep: a small
//               record would otherwise strand
//   any_close   signal for any record that is closed, committed or discarded
//
// The announcement is kernel-private (a mapped client announces through the driver), set and cleared by the consumer only:
// a producer that cleared it after its signal would lose a wake-up.
//
// The checked order of going to sleep: announce; T; barrier (or let the margin pass); one pass that looks at record
// states; sleep on a sticky event only if pass_result::may_sleep(); clear the announcement when awake. Where the pass is
// stopped by a reserved head, or by an idle ring while a closed record waits, the consumer looks again after the margin.
//
// Invariants
//   W1  a close is either seen by the consumer's last look, or its closer sees the announcement and signals.
//   W2  no final record waits longer than the consumer's latency setting.
//
// Freestanding. after_close: any IRQL, any CPU.
#pragma once

#include "pipeline/seam.h"

namespace sluice {

enum class announcement : uint32_t { running = 0, threshold = 1, any_close = 2 };

template <class seam>
class wake_line {
 public:
  // Consumer only. Relaxed: the barrier or the margin that follows is what orders it before the look at the states.
  void announce(announcement level) { word_.store(static_cast<uint32_t>(level), memory_order::relaxed); }

  // After a close: how the consumer wants to be woken. Relaxed: a load that came too early is found by the consumer's look
  // (W1).
  SLUICE_ALWAYS_INLINE announcement after_close() const {
    seam::light_barrier();  // the load stays behind the close: pipeline/barrier.h
    return static_cast<announcement>(word_.load(memory_order::relaxed));
  }

 private:
  alignas(shared_word_distance) typename seam::word word_;
  uint8_t pad_[shared_word_distance - sizeof(typename seam::word)] = {};
};

}  // namespace sluice
