// The event that every contestant carries: 64 bytes of payload and a time. The payload tells its number, and its words
// add up to a sum that the consumer must arrive at: nothing is lost, doubled, reordered or left unread.
#pragma once

#include <cstdint>

namespace sluice::bench {

struct event_payload {
  uint64_t words[8];
};
static_assert(sizeof(event_payload) == 64);

struct timed_event {
  uint64_t time;
  event_payload payload;
};

inline event_payload make_payload(uint64_t number) {
  return {{number, 1, 2, 3, 4, 5, number ^ 6, number + 7}};
}

inline uint64_t sum_of(const event_payload& payload) {
  uint64_t sum = 0;
  for (const uint64_t word : payload.words) sum += word;
  return sum;
}

}  // namespace sluice::bench
