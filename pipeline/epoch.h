// Clock epochs: how the stream stays in order when the clock steps back.
//
// A counter that steps back (resume, migration of a virtual machine) steps for every CPU, but nothing tells them, and no
// producer pays for asking. Each ring just goes on with the new times. Its reader knows two things that no record of the
// ring may be older than: the last one taken, and T of a pass that found the ring empty. A record that is older than that by
// more than `step_back` ticks is of the next epoch. So is a T that is older than the last T, or than a record that an earlier
// pass has seen; and a T that is taken after some ring has shown a later epoch is of that epoch too.
//
//   ring 0        ... 98 99 | 12 13 14          | the clock steps back from 100 to 11
//   ring 1        ... 97    | (empty)           a ring without records follows with T
//   T                 99    | 15
//   stream        97 98 99  E 101 102 103       stream time = counter + offset of the epoch
//
// The merge finishes an epoch before it begins the next: a ring that is ahead waits until each ring has either shown a
// record of a later epoch, or been found empty after a T of one. Then the sink is told (epoch_start) at that place of the
// stream, and times go on, so that they never decrease in the stream, whatever the clock did.
//
// What cannot be known: a ring whose last time is older than what the clock has gone back to, and that no pass has found
// empty shortly before, holds nothing that tells of the step: what it gets counts to the epoch before, until a pass after
// the step finds it empty. Its times are in order there. Likewise two steps between two such passes may count as one.
//
// Freestanding.
#pragma once

#include <stdint.h>

namespace sluice {

// What a sink is told by begin_epoch(epoch_start) -> bool, before the first record of the epoch; false: not now, the pass
// ends.
struct epoch_start {
  uint32_t epoch;  // 1, 2, ...; the stream starts in 0
  uint64_t first;  // counter: nothing of the epoch is older
  uint64_t time;   // of the stream, at `first`: behind everything that came before

  // Stream time is counter + offset, mod 2^64.
  uint64_t offset() const { return time - first; }
};

// T of each pass, and the epoch it is of.
class bound_epochs {
 public:
  // `seen`: the latest epoch that an earlier pass has met.
  void follow(uint64_t bound, uint32_t seen, uint64_t step_back) {
    if (step_back == 0) return;
    if (seen > epoch_) {
      begin(seen, bound);
    } else if (bound < last_ && last_ - bound > step_back) {
      begin(epoch_ + 1, bound);
    }
    saw(bound);
  }

  // The counter has been there, in this epoch, before the next T is taken.
  void saw(uint64_t counter) {
    if (counter > last_) last_ = counter;
  }

  uint32_t epoch() const { return epoch_; }
  uint64_t first() const { return first_; }  // the first T of the epoch
  uint64_t last() const { return last_; }    // the largest counter known of it

 private:
  void begin(uint32_t epoch, uint64_t bound) {
    epoch_ = epoch;
    first_ = last_ = bound;
  }

  uint32_t epoch_ = 0;
  uint64_t first_ = 0;
  uint64_t last_ = 0;
};

}  // namespace sluice
