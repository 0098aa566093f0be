// Every memory order of the pipeline, in one place: what it orders, and its partner on the other side.
//
// The code names these constants instead of spelling orders, so that each place can be found from its partner, and so that
// a build can weaken exactly one of them (-DSLUICE_ORDER_publish=relaxed) to show that some check then fails.
// What is not listed is relaxed, or not shared, and says so where it stands.
//
//   producer                                              consumer
//   --------                                              --------
//   header <- reserved, type, length
//   published <- position            publish ........>    observe_published   position, then headers before it
//   compiler barrier, clock read                          T from the clock, then the barrier on all CPUs or the margin
//   header <- time, then stamped     stamp ..........>    observe_state       state, then the time
//   payload
//   header <- committed | discarded  close ..........>    observe_state       state, then the payload
//   compiler barrier, announcement?                       announcement, then the barrier or the margin, then states
//   room: consumed                   observe_consumed <.. release_consumed    all reads of what lies before it are done
//   room: state                      observe_closed  <... close (of any CPU's producer: its payload writes are done)
//   figures of a loss                publish_loss ...>    observe_loss        a seqlock of ordered words, no fence
//
//   overwrite mode only:
//   tail and what it has passed      publish_tail ...>    observe_tail        a seqlock of ordered words; the tail alone: its
//                                                                             low word, then its high word
//   fence                            fence_tail .....>    fence_copy          the copy of a record, a fence, then the tail
//   bytes of the room that was made
//
// In discard mode there is no fence and no locked instruction on the producer's side; in overwrite mode one fence between stores,
// for each step of the tail (pipeline/tail.h). The two store-to-load pairs of the protocol
// (publish then clock, close then announcement) are ordered by the consumer: see pipeline/barrier.h.
#pragma once

#include "pipeline/atomic.h"

#ifndef SLUICE_ORDER_publish
#define SLUICE_ORDER_publish release
#endif
#ifndef SLUICE_ORDER_observe_published
#define SLUICE_ORDER_observe_published acquire
#endif
#ifndef SLUICE_ORDER_stamp
#define SLUICE_ORDER_stamp release
#endif
#ifndef SLUICE_ORDER_close
#define SLUICE_ORDER_close release
#endif
#ifndef SLUICE_ORDER_observe_state
#define SLUICE_ORDER_observe_state acquire
#endif
#ifndef SLUICE_ORDER_release_consumed
#define SLUICE_ORDER_release_consumed release
#endif
#ifndef SLUICE_ORDER_observe_consumed
#define SLUICE_ORDER_observe_consumed acquire
#endif
#ifndef SLUICE_ORDER_observe_closed
#define SLUICE_ORDER_observe_closed acquire
#endif
#ifndef SLUICE_ORDER_publish_loss
#define SLUICE_ORDER_publish_loss release
#endif
#ifndef SLUICE_ORDER_observe_loss
#define SLUICE_ORDER_observe_loss acquire
#endif
#ifndef SLUICE_ORDER_publish_tail
#define SLUICE_ORDER_publish_tail release
#endif
#ifndef SLUICE_ORDER_observe_tail
#define SLUICE_ORDER_observe_tail acquire
#endif
#ifndef SLUICE_ORDER_fence_tail
#define SLUICE_ORDER_fence_tail release
#endif
#ifndef SLUICE_ORDER_fence_copy
#define SLUICE_ORDER_fence_copy acquire
#endif

namespace sluice::order {

// SYNC POINT publish -> observe_published: the header (length, type, `reserved`) is written before the position that
// makes it reachable; without it a reader parses what an earlier lap left there.
inline constexpr memory_order publish = memory_order::SLUICE_ORDER_publish;
inline constexpr memory_order observe_published = memory_order::SLUICE_ORDER_observe_published;

// SYNC POINT stamp -> observe_state: the time is written before the state that says it is there.
inline constexpr memory_order stamp = memory_order::SLUICE_ORDER_stamp;

// SYNC POINT close -> observe_state: the payload is written before `committed`; also close -> observe_closed: the last
// write of a producer to its record comes before the room is given to another.
inline constexpr memory_order close = memory_order::SLUICE_ORDER_close;
inline constexpr memory_order observe_state = memory_order::SLUICE_ORDER_observe_state;
inline constexpr memory_order observe_closed = memory_order::SLUICE_ORDER_observe_closed;

// SYNC POINT release_consumed -> observe_consumed: the consumer has read a record before the producer writes there again.
inline constexpr memory_order release_consumed = memory_order::SLUICE_ORDER_release_consumed;
inline constexpr memory_order observe_consumed = memory_order::SLUICE_ORDER_observe_consumed;

// SYNC POINT publish_loss -> observe_loss: every word of the loss figures is stored with publish_loss after the sequence
// became odd and before it becomes even; a reader that sees a new word also sees that the sequence moved.
inline constexpr memory_order publish_loss = memory_order::SLUICE_ORDER_publish_loss;
inline constexpr memory_order observe_loss = memory_order::SLUICE_ORDER_observe_loss;

// SYNC POINT publish_tail -> observe_tail: as with the figures of a loss; and the tail's high word is stored before its low word,
// so that a reader who sees a new low word also sees its high word.
inline constexpr memory_order publish_tail = memory_order::SLUICE_ORDER_publish_tail;
inline constexpr memory_order observe_tail = memory_order::SLUICE_ORDER_observe_tail;

// SYNC POINT fence_tail -> fence_copy, fences: the tail is published before a byte behind it is written. A reader who copied
// any such byte finds the tail past its record. The same fence of the reader's stands between the state and what is read because
// of it, time and payload: there its partners are stamp and close, as observe_state's are.
inline constexpr memory_order fence_tail = memory_order::SLUICE_ORDER_fence_tail;
inline constexpr memory_order fence_copy = memory_order::SLUICE_ORDER_fence_copy;

}  // namespace sluice::order
