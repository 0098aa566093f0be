// What a reader shows: the first record of its ring, and a record for a sink. Freestanding.
#pragma once

#include "pipeline/record.h"

namespace sluice {

enum class head_state : uint16_t { empty, reserved, stamped, committed, discarded, damaged, missed, later_epoch };

// Whether the head can be taken: it is closed, or it is the announcement of what was missed.
constexpr bool is_final(head_state state) {
  return state == head_state::committed || state == head_state::discarded || state == head_state::missed;
}

// The first record of a ring, as far as it is known. 16 bytes, so that it is returned in registers: the merge asks for one with each
// record, and a copy through memory waits for the stores it is made of.
struct ring_head {
  head_state state = head_state::empty;
  uint16_t type = 0;  // of an overwriting ring's records
  uint32_t length = 0;
  // stamped, committed, discarded: its own. reserved: the bound of pipeline/merge.h. missed: the next one's. later_epoch: never
  uint64_t time = 0;
};
static_assert(sizeof(ring_head) == 16);

// A record handed to a sink; points into the ring, or to the reader's copy, and is valid during the call.
template <class seam>
struct record_view {
  typename seam::memory data;
  uint32_t offset;
  uint32_t length;    // header included
  uint64_t position;  // 64-bit extension
  uint64_t time;      // of the stream: the record's own until the clock has stepped back for the first time
  uint16_t cpu;
  uint8_t lane;
  bool late;
  bool overwritten = false;  // no record of the ring: a LOSS that tells what was overwritten from `position` on

  uint16_t type() const { return static_cast<uint16_t>(data.load(offset + offsetof(record_header, type)) & 0xffff); }
  const uint8_t* bytes() const { return data.bytes(offset); }
  const uint8_t* payload() const { return data.bytes(offset + record_header_size); }
  uint32_t payload_length() const { return length - record_header_size; }
};

}  // namespace sluice
