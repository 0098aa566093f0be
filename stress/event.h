// What the events of the stress carry, so that the consumer can tell from an event alone whether it is whole, whose it is,
// which number it has, and what its CPU had dropped before it.
//
// Types by how they are written:
//   section    the writer holds the CPU's section around the call, together with the truth about that CPU (truth.h): serial
//              numbers and drops are exact
//   free       the writer stays below DISPATCH_LEVEL, as callbacks do; it is pinned, so it knows its CPU, and drops are
//              known up to the calls in flight
//   wandering  not even pinned: exact over all CPUs together
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "producers/events.h"

namespace sluice::stress {

namespace event_type {
inline constexpr uint16_t section = 32;
inline constexpr uint16_t section_switched = 33;  // switched off and on
inline constexpr uint16_t section_critical = 34;
inline constexpr uint16_t hoarded = 35;           // kept open for long
inline constexpr uint16_t duet = 36;
inline constexpr uint16_t duet_critical = 37;
inline constexpr uint16_t anonymous = 38;         // too short to carry an event_head
inline constexpr uint16_t free = 40;
inline constexpr uint16_t free_switched = 41;
inline constexpr uint16_t free_critical = 42;
inline constexpr uint16_t wandering = 48;
inline constexpr uint16_t wandering_critical = 49;
inline constexpr uint16_t first = 32;
inline constexpr uint16_t last = 49;
}  // namespace event_type

constexpr bool is_section_type(uint32_t type) { return type >= 32 && type < 40; }
constexpr bool is_free_type(uint32_t type) { return type >= 40 && type < 48; }
inline constexpr uint64_t critical_types = 1ull << event_type::section_critical | 1ull << event_type::duet_critical |
                                           1ull << event_type::free_critical | 1ull << event_type::wandering_critical;
constexpr bool is_critical_type(uint32_t type) { return (critical_types >> type & 1) != 0; }
const char* name_of_type(uint32_t type);

inline constexpr uint64_t no_number = ~uint64_t{0};
inline constexpr uint32_t unknown_cpu = ~uint32_t{0};
inline constexpr uint32_t event_pid = 5000;
inline constexpr uint32_t first_event_tid = 20000;  // + writer

inline constexpr uint32_t head_flag_position = 1;  // `position` and `lane` are known
inline constexpr uint32_t head_flag_spare = 2;     // it is in the spare lane
inline constexpr uint32_t head_flag_discard = 4;   // will be discarded: must never arrive

// First in every payload that is long enough. The rest is filler that follows from writer and sequence.
struct event_head {
  event_context context;
  uint32_t writer;
  uint32_t payload_length;
  uint64_t sequence;           // of this writer's events that are committed; no_number if discarded
  uint64_t serial;             // section: of this CPU's section events that are committed
  uint64_t dropped;            // section: section events that this CPU dropped before
  uint64_t dropped_own;        // section: of them, those of this type
  uint32_t free_dropped_low;   // section: free events that this CPU had dropped before, at least
  uint32_t free_dropped_high;  //   at most
  uint32_t cpu;                // as the writer saw it
  uint32_t position;           // mod 2^32
  uint32_t flags;
  uint32_t checksum;           // of what stands before
};
static_assert(sizeof(event_head) == 72);

// Filler that every payload is cut from, at a place that depends on whose it is: stale bytes are noticed.
class filler {
 public:
  explicit filler(uint32_t longest);
  void put(uint8_t* to, const event_head& head) const;
  bool matches(const uint8_t* bytes, const event_head& head) const;

 private:
  const uint8_t* start_of(const event_head& head) const;
  std::vector<uint8_t> bytes_;
};

uint32_t checksum_of(const event_head& head);

// The whole payload, head with checksum first. `context_stands`: the channel has written the first 8 bytes already.
void put_event(uint8_t* payload, event_head& head, const filler& from, bool context_stands);
// Whether the payload is what put_event wrote. A message, or null.
const char* check_event(const uint8_t* payload, uint32_t length, const filler& from, event_head& head);

// Payloads too short for a head.
void put_anonymous(uint8_t* payload, uint32_t length);
bool is_anonymous(const uint8_t* payload, uint32_t length);

}  // namespace sluice::stress
