// The record: the unit that every ring, batch, recording and client carries.
//
//   offset  0        4      6         7      8            16
//           +--------+------+---------+------+------------+-----------------------+---------+
//           | state, | type | version | flags| timestamp  | payload               | padding |
//           | length |  u16 |   u8    |  u8  | u64, ticks | length - 16 bytes     | to 8    |
//           +--------+------+---------+------+------------+-----------------------+---------+
//
// A record begins on a multiple of 8 bytes. `length` counts header and payload, not the padding. The timestamp is in
// ticks of the clock that the region names; it is two 32-bit words, low word first, so that no 32-bit kernel ever needs
// a floating-point or locked move to write it. All words are little-endian, the byte order of every machine that runs
// Windows.
//
// Freestanding: no operating system, no allocation, no exceptions. Any thread, any IRQL.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace sluice {

// The life of a record: reserved -> stamped -> committed | discarded. `write` goes from reserved to committed at once.
enum class record_state : uint32_t {
  none = 0,       // memory that never held a record
  reserved = 1,   // has its place in the ring, not yet its time
  stamped = 2,    // has its time; its producer is filling it
  committed = 3,  // final: the consumer may read it
  discarded = 4,  // final: the consumer skips it
};

// Bits of record_header::flags. Written once, before the record is published.
inline constexpr uint8_t record_flag_critical = 0x01;  // may use the part of the ring kept for critical types

// What identifies a type. The numbers are part of the format: they are never reused.
inline constexpr uint32_t max_record_types = 64;         // types are 0..63; the account has a row for each
inline constexpr uint16_t record_type_invalid = 0;
inline constexpr uint16_t record_type_loss = 1;          // loss_payload, pipeline/loss.h
inline constexpr uint16_t record_type_anchor = 2;        // producers/events.h: the clock's relation to UTC
inline constexpr uint16_t record_type_type_declaration = 3;  // producers/events.h: name and layout of an own type
inline constexpr uint16_t record_type_overdue = 4;       // producers/events.h: a reservation open past the limit
inline constexpr uint16_t record_type_epoch = 5;    // producers/events.h: the clock has stepped back
inline constexpr uint16_t first_event_type = 8;          // the library's own events: 8..31
inline constexpr uint16_t first_own_type = 32;           // types that a driver registers: 32..63

inline constexpr uint32_t record_alignment = 8;
inline constexpr uint32_t record_length_bits = 28;
inline constexpr uint32_t record_length_mask = (1u << record_length_bits) - 1;

struct record_header {
  uint32_t state_and_length;  // record_state << 28 | length in bytes
  uint16_t type;
  uint8_t version;  // of the payload's layout, per type; a larger version only ever appends fields
  uint8_t flags;
  uint32_t time_low;
  uint32_t time_high;
};
static_assert(sizeof(record_header) == 16);
static_assert(offsetof(record_header, state_and_length) == 0);
static_assert(offsetof(record_header, type) == 4);
static_assert(offsetof(record_header, version) == 6);
static_assert(offsetof(record_header, flags) == 7);
static_assert(offsetof(record_header, time_low) == 8);
static_assert(offsetof(record_header, time_high) == 12);

inline constexpr uint32_t record_header_size = sizeof(record_header);

constexpr uint32_t make_state_and_length(record_state state, uint32_t length) {
  return static_cast<uint32_t>(state) << record_length_bits | length;
}
constexpr record_state state_of(uint32_t state_and_length) {
  return static_cast<record_state>(state_and_length >> record_length_bits);
}
constexpr uint32_t length_of(uint32_t state_and_length) { return state_and_length & record_length_mask; }
constexpr bool is_closed(record_state state) {
  return state == record_state::committed || state == record_state::discarded;
}

// The room a record takes in a ring or a batch, bytes.
constexpr uint32_t record_stride(uint32_t length) {
  return (length + (record_alignment - 1)) & ~(record_alignment - 1);
}

// The same of a header's first word, in one step less: the state is masked away together with the lowest bits.
// The length is at most max_record_limit (pipeline/region.h).
constexpr uint32_t stride_of(uint32_t state_and_length) {
  return (state_and_length + (record_alignment - 1)) & (record_length_mask & ~(record_alignment - 1));
}

constexpr uint64_t time_of(const record_header& header) {
  return static_cast<uint64_t>(header.time_high) << 32 | header.time_low;
}

// A record's identity travels with every copy: (boot, cpu, lane, position). The lane tells the two rings of a CPU apart;
// the position is the ring's 64-bit byte position, so a reader drops duplicates and sees gaps.
struct record_identity {
  uint64_t boot;
  uint64_t position;
  uint16_t cpu;
  uint8_t lane;
};

inline constexpr uint8_t lane_main = 0;
inline constexpr uint8_t lane_spare = 1;  // takes critical records that the main ring cannot
inline constexpr uint32_t lanes_per_cpu = 2;

}  // namespace sluice
