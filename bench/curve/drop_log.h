// What is noted of one run, by those who took part in it. All times are nanoseconds of CLOCK_MONOTONIC; all numbers are the events' own,
// which rise by one from 0; positions are the ring's, extended to 64 bits.
#pragma once

#include <cstdint>
#include <vector>

namespace sluice::bench {

// The producer: events that found no room, one after another.
struct drop_interval {
  uint64_t first;     // number of the first
  uint64_t count;
  uint64_t before;    // the last reading of the clock before the first was refused
  uint64_t after;     // the first reading behind the last
  uint64_t position;  // the ring's write position when the first was refused
};

// The producer, at a look at the clock: how far it has come.
struct offered_look {
  uint64_t time;
  uint64_t number;    // of the next event
  uint64_t position;  // where it goes
};

// The consumer's position has moved: it was seen to at a look at the clock, so that it was there at that time or before.
struct consumer_pass {
  uint64_t time;
  uint64_t position;
};

// The consumer: a LOSS record.
struct announced_loss {
  uint64_t first_time;  // as the record says
  uint64_t last_time;
  uint64_t events;
  uint64_t next;        // number of the event that the record stands in front of
};

struct ring_log {
  std::vector<drop_interval> drops;
  std::vector<offered_look> looks;
  std::vector<consumer_pass> passes;
};

}  // namespace sluice::bench
