// The protocol of read-mostly snapshots: readers name the slot they read and are counted per CPU, in two phases, coming and
// going; a writer puts the next snapshot into a free slot, and gives the former slot back when all who came have gone.
//
//   reader, on any CPU                                      writer, one at a time
//   ------------------                                      ---------------------
//   section on CPU a:                                       slot's contents <- next snapshot
//     current                     observe <........ publish current <- slot
//     entered[a][slot] + 1                                  a barrier that runs on every CPU, outside of any section
//   reads the snapshot; may fault, be preempted, move       sum of entered[.][former]: final from here on
//   section on CPU b:
//     left[b][slot] + 1           leave ..........> drained sum of left[.][former] equal to it? else look again
//                                                           former snapshot <- gone
//
// A section is what nothing else on the CPU comes between: in a driver, DISPATCH_LEVEL on one processor, which a DPC cannot
// enter. So no counter is written by two at once, and a reader executes no locked instruction and no fence.
//
// S1  What a reader reads is the whole of one snapshot: `current` is read once, in the section that counts it.
// S2  A snapshot is not given back while a reader has it. Each enter section is before or after the barrier on its CPU. Before: its
//     count is visible to the writer behind the barrier. After: it sees the new `current`. So `entered` of the former slot
//     moves no more, and when `left` has reached it, nobody is left.
// S3  A writer waits for the readers of the former snapshot only: later ones count in another slot, so it cannot starve.
// S4  Counts are modulo 2^32: only their difference means anything, and fewer than 2^32 readers are inside at once.
//
// Freestanding; a template over the shared word, so that tests/model checks it as it stands. The section and the barrier are
// the caller's: kernel_port/snapshot/nt_snapshot.h.
#pragma once

#include <stdint.h>

#include "pipeline/atomic.h"

// Each can be weakened by a build, to show that a check then fails.
#ifndef SLUICE_ORDER_publish_snapshot
#define SLUICE_ORDER_publish_snapshot release
#endif
#ifndef SLUICE_ORDER_observe_snapshot
#define SLUICE_ORDER_observe_snapshot acquire
#endif
#ifndef SLUICE_ORDER_leave_snapshot
#define SLUICE_ORDER_leave_snapshot release
#endif
#ifndef SLUICE_ORDER_observe_left
#define SLUICE_ORDER_observe_left acquire
#endif

namespace sluice {

namespace order {
// SYNC POINT publish_snapshot -> observe_snapshot: the snapshot is written before the word that makes it reachable.
inline constexpr memory_order publish_snapshot = memory_order::SLUICE_ORDER_publish_snapshot;
inline constexpr memory_order observe_snapshot = memory_order::SLUICE_ORDER_observe_snapshot;
// SYNC POINT leave_snapshot -> observe_left: a reader's last access comes before the memory is given back. The counter of a
// CPU carries all who left there before: they did so in the same CPU's sections, one after the other.
inline constexpr memory_order leave_snapshot = memory_order::SLUICE_ORDER_leave_snapshot;
inline constexpr memory_order observe_left = memory_order::SLUICE_ORDER_observe_left;
}  // namespace order

// Slot 0 is "no snapshot": nobody counts there. Two more are enough, because a writer waits until the former is free.
inline constexpr uint32_t snapshot_slots = 3;
inline constexpr uint32_t no_snapshot = 0;

template <class word>
struct alignas(128) reader_counts {
  word entered[snapshot_slots];
  word left[snapshot_slots];

  // In a section of this CPU. Returns the slot that the reader has from now on; no_snapshot: nothing was counted.
  uint32_t enter(const word& current) {
    const uint32_t slot = current.load(order::observe_snapshot);
    // Relaxed: only this CPU writes it, in sections; the writer's barrier makes it visible (S2).
    if (slot != no_snapshot) entered[slot].store(entered[slot].load(memory_order::relaxed) + 1, memory_order::relaxed);
    return slot;
  }

  // In a section of this CPU, whichever CPU the reader entered on.
  void leave(uint32_t slot) {
    // Relaxed load: only this CPU writes it.
    left[slot].store(left[slot].load(memory_order::relaxed) + 1, order::leave_snapshot);
  }
};

// The writer, after the barrier that follows its store to `current`: whether nobody has `slot` any more. `counts` of every
// CPU that may ever run a reader.
template <class word>
[[nodiscard]] bool is_drained(const reader_counts<word>* counts, uint32_t cpus, uint32_t slot) {
  uint32_t inside = 0;
  // Relaxed: the barrier has made each of them visible, and none moves any more.
  for (uint32_t cpu = 0; cpu < cpus; ++cpu) inside += counts[cpu].entered[slot].load(memory_order::relaxed);
  for (uint32_t cpu = 0; cpu < cpus; ++cpu) inside -= counts[cpu].left[slot].load(order::observe_left);
  return inside == 0;
}

}  // namespace sluice
