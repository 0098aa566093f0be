// Joins what producer and consumer noted of a run (drop_log.h): every event that is missing was refused by a ring that was full, because its
// consumer was behind by all that the ring holds; and each is announced.
//
//   D1  LOSS records and refusals are the same intervals: as many events, at the same place of the stream, at times within the refusal's.
//   D2  When the first event of an interval was refused, the consumer had not given back records that fill the ring. In time: its gap, from
//       the writing of the oldest record that it had not given back to the refusal, is as long as the ring holds at the rate of that gap.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "bench/curve/drop_log.h"

namespace sluice::bench {

struct ring_room {
  uint64_t bytes;        // for ordinary events
  uint64_t event_bytes;  // a record, padding included
  uint64_t clock_step;   // nanoseconds in which the times of records move
};

// One interval of drops, and the consumer's gap over it.
struct joined_drop {
  uint64_t begin, end;  // nanoseconds: the first refusal, the last
  uint64_t events;
  uint64_t gap_begin;   // when the oldest record was written that was not given back
  uint64_t waiting;     // bytes that were not given back
};

struct drop_join {
  std::vector<joined_drop> drops;
  std::vector<std::string> violations;
  uint64_t announced = 0;       // events
  double least_gap_over_hold = 0;  // the least of all intervals; 0: nothing was dropped
};

// Each by rising number. `begin`: when the run began.
drop_join join_drops(const ring_log& log, std::span<const announced_loss> losses, const ring_room& room, uint64_t begin);

}  // namespace sluice::bench
