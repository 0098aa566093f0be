// Accounting: R3, per event type and CPU.
//
//   attempted = committed + discarded + dropped(by reason) + open
//
// Four sources, none derived from the others: `attempted` and `dropped` are counted where an event asks for room,
// `committed` and `discarded` where the ring's private cursor passes a closed record, `open` by walking headers. Nobody
// counts at commit: commits come from other CPUs, and a plain counter would lose updates.
//
// `overwritten` is no fifth state: such a record was committed. A reader that takes records without giving them back at once may
// have seen some of them, so what it missed (LOSS, pipeline/tail.h) is at most that.
//
// Freestanding; the structs are part of the statistics interface (fixed width, little-endian).
#pragma once

#include "pipeline/record.h"

namespace sluice {

// Why an event got no room. The numbers are part of the statistics format.
enum class drop_reason : uint32_t {
  ring_full = 0,      // the ordinary part of the ring was full
  critical_full = 1,  // a critical event found neither the ring nor the spare ring free
  too_long = 2,       // longer than the ring's longest record
  violation = 3,      // the consumer's side broke the protocol: the ring reclaims nothing any more, and is full
};
inline constexpr uint32_t drop_reason_count = 4;

constexpr const char* name_of(drop_reason reason) {
  switch (reason) {
    case drop_reason::ring_full: return "ring_full";
    case drop_reason::critical_full: return "critical_full";
    case drop_reason::too_long: return "too_long";
    case drop_reason::violation: return "violation";
  }
  return "unknown";
}

// One row: a type on a CPU, both lanes together.
struct account_row {
  uint64_t attempted;
  uint64_t committed;
  uint64_t discarded;
  uint64_t open;  // reserved or stamped at the moment of the walk
  uint64_t dropped[drop_reason_count];
  uint64_t overwritten;  // of `committed`: those that made room before the consumer had given them back (overwrite mode)

  constexpr uint64_t dropped_total() const {
    uint64_t sum = 0;
    for (uint64_t n : dropped) sum += n;
    return sum;
  }
  // R3 for this row.
  constexpr bool balances() const { return attempted == committed + discarded + open + dropped_total(); }

  constexpr void add(const account_row& other) {
    attempted += other.attempted;
    committed += other.committed;
    discarded += other.discarded;
    open += other.open;
    for (uint32_t i = 0; i < drop_reason_count; ++i) dropped[i] += other.dropped[i];
    overwritten += other.overwritten;
  }
};
static_assert(sizeof(account_row) == 72);

}  // namespace sluice
