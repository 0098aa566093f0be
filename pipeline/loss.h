// LOSS: the record that stands in the stream where events are missing.
//
//   +------------------------+ 0
//   | first_time, last_time  |   ticks: when the first and the last event of the gap were dropped
//   | bytes                  |   record bytes (headers included) that were refused
//   | events                 |   how many, over all types
//   | entry_count, cause     |
//   +------------------------+ 40
//   | loss_entry[entry_count]|   one for each type that lost something, by rising type
//   +------------------------+
//
// Dropped: the record goes in front of the first event of its CPU that finds room again, in one publication with it; its own
// timestamp is that event's.
// Overwritten: a reader makes the record where it finds that the producer has overtaken it (pipeline/tail.h). It stands in
// front of the oldest record of that ring that is left, with its timestamp; the times are bounds: of the last record that was
// read before the gap and of that one; the bytes are what was passed of the ring. Freestanding; any IRQL.
#pragma once

#include "pipeline/record.h"

namespace sluice {

enum class loss_cause : uint32_t { dropped = 0, overwritten = 1 };

struct loss_entry {
  uint16_t type;
  uint16_t reserved0;
  uint32_t reserved1;
  uint64_t events;
};
static_assert(sizeof(loss_entry) == 16);

struct loss_payload {
  uint64_t first_time;
  uint64_t last_time;
  uint64_t bytes;
  uint64_t events;
  uint32_t entry_count;
  uint32_t cause;  // loss_cause
};
static_assert(sizeof(loss_payload) == 40);
static_assert(offsetof(loss_payload, events) == 24);
static_assert(offsetof(loss_payload, entry_count) == 32);

inline constexpr uint32_t max_loss_payload = sizeof(loss_payload) + max_record_types * sizeof(loss_entry);

}  // namespace sluice
