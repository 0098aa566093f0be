// Waiting for less than any timer of the kernel can.
#pragma once

#include "producers/channel.h"

namespace sluice {

// Until the clock of the records has gone on by `ticks` since the call. A step back does not shorten it. A clock that stands still for
// thousands of looks, far more than one of its ticks can take, is not waited for: nothing that goes by it has a time to wait for.
// The processor is kept busy: tens of microseconds, no more. Up to DISPATCH_LEVEL.
inline void spin_for(uint64_t ticks) {
  constexpr uint32_t looks_at_a_standing_clock = 4096;
  kernel_clock clock;
  uint64_t begin = clock.now();
  uint64_t last = begin;
  for (uint32_t standing = 0; standing < looks_at_a_standing_clock; ++standing) {
    YieldProcessor();
    const uint64_t now = clock.now();
    if (now != last) standing = 0;
    if (now < begin) begin = now;
    if (now - begin >= ticks) return;
    last = now;
  }
}

}  // namespace sluice
