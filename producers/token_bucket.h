// A token bucket in exact integers: no division, no rounding, no drift. One CPU's section at a time.
//
// Tokens are counted in units of 1/frequency event: a tick brings `events_per_second` of them, an event takes `frequency`.
#pragma once

#include "producers/filter_message.h"

namespace sluice {

struct bucket_limits {
  uint64_t per_tick = 0;  // events per second; 0: no limit
  uint64_t event = 0;     // what an event takes: ticks per second
  uint64_t full = 0;      // burst * event
  uint64_t fill_ticks = 0;  // from empty to full, rounded up

  // burst * frequency: below 2^20 * 2^40.
  void set(const filter_rate& rate, uint64_t frequency) {
    per_tick = rate.events_per_second;
    event = frequency;
    full = frequency * rate.burst;
    fill_ticks = full / per_tick + 1;
  }
};

struct token_bucket {
  uint64_t tokens;
  uint64_t time;  // of the last look

  void begin(const bucket_limits& limits, uint64_t now) {
    tokens = limits.full;
    time = now;
  }
  // Brings the bucket up to `now`. True: an event could take from it.
  bool look(const bucket_limits& limits, uint64_t now) {
    const uint64_t passed = now - time;
    time = now;
    // A step back of the clock (a resume) begins anew as a long wait does.
    if (passed >= limits.fill_ticks || tokens + passed * limits.per_tick >= limits.full) {
      tokens = limits.full;
    } else {
      tokens += passed * limits.per_tick;
    }
    return tokens >= limits.event;
  }
  void take(const bucket_limits& limits) { tokens -= limits.event; }
};

}  // namespace sluice
