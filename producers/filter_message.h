// What a client sends to set a filter: one message that says which events are wanted. Whoever builds it (consumers/) and
// whoever checks it (producers/filter_validation.h, in the kernel) share this header. docs/filters.md says the same in prose.
//
//   offset 0            128
//          +------------+-----------+-----------------------+--------+
//          | header     | tables, each on a multiple of 8   | UTF-16 |    total_bytes, at most max_filter_bytes
//          +------------+-----------+-----------------------+--------+
//
// Offsets count from the message's first byte. Fixed width, explicit padding (0), little-endian, as every machine that runs
// Windows. A driver takes exactly its own version; any other is refused with a reason. Freestanding.
//
// What a message means. An event is kept if nothing below speaks against it; the first that does is the reason under which
// it is counted (filter_reason, in this order). Stream types (loss, anchor, declaration, overdue) are always kept.
//
//   types       the bit of its type is set in `types`.
//   processes   An event has up to two processes: the one that it is about (payload.pid; registry and own events have none)
//               and the one in whose context it happened. It is kept if either of them is wanted. Whether a process is
//               wanted is said by its own rule, else by the rule with filter_rule_descendants of its nearest ancestor that
//               has one, else by the default: wanted, unless any rule includes (is not an exclude).
//               A rule names the process that has the id when the filter is set. It ends with that process; its descendants
//               that run by then stay what they are. Judged are types with a bit in `process_types`.
//   images      For image_load and process_create: the image's path, as the event has it.
//   keys        For registry events: the key's path in NT form, \REGISTRY\..., as the event has it (rename: the old one).
//               An entry of both applies to the path that it is, and to everything below it: it ends where a component
//               ends. The longest entry that applies decides; without one the default: kept, unless any entry includes.
//               Components end at '\', in an image's path also at '/'. Case is folded as NT folds it (RtlUpcaseUnicodeChar),
//               unit by unit. A path that is not known, or known only in part, is kept where no entry applies to what is known.
//   repeats     An event is a repeat if one with the same type, the same context process and the same key fields was kept
//               on the same CPU less than `repeat_window_ms` before. Key fields: process_create: image path and command
//               line; process_exit: pid and start key; thread events: pid and start address; image_load: pid and path;
//               registry: everything but the outcome, the value's data included as far as it was captured; own events:
//               the payload (no process), if the driver writes it in one piece. Judged are types with a bit in `repeat_types`.
//   rates       Token buckets: a bucket holds at most `burst` events, begins full, and gains `events_per_second`. An event
//               takes one from the bucket of its type, if it has one, and one from that of its context process, if
//               `process_rate` has a bit for its type; it is filtered if either is empty, and then takes from neither.
//               Buckets are per CPU: over all CPUs a rate can be as many times higher as there are CPUs that the events
//               come on. A CPU remembers a bounded number of processes; one that it forgot begins full again.
// Setting a filter begins all windows and buckets anew.
#pragma once

#include "pipeline/record.h"

namespace sluice {

inline constexpr uint32_t filter_magic = 0x4c464c53;  // "SLFL"
inline constexpr uint16_t filter_version = 1;

inline constexpr uint32_t max_filter_bytes = 4u << 20;
inline constexpr uint32_t max_filter_processes = 4096;
inline constexpr uint32_t max_filter_paths = 65536;         // of each table
inline constexpr uint32_t max_filter_process_id = (1u << 28) - 1;
inline constexpr uint32_t max_events_per_second = 10'000'000;
inline constexpr uint32_t max_burst = 1'000'000;
inline constexpr uint32_t max_repeat_window_ms = 3'600'000;

inline constexpr uint32_t filter_rule_exclude = 0x0001;      // rules and path entries; without it they include
inline constexpr uint32_t filter_rule_descendants = 0x0002;  // rules: speaks for the descendants, too

struct filter_rate {
  uint32_t events_per_second;  // 1 to max_events_per_second
  uint32_t burst;              // 1 to max_burst
};
static_assert(sizeof(filter_rate) == 8);

struct filter_table {
  uint32_t offset;  // a multiple of 8; 0 if count is 0
  uint32_t count;
};
static_assert(sizeof(filter_table) == 8);

struct filter_header {
  uint32_t magic;
  uint16_t version;
  uint16_t header_bytes;  // sizeof(filter_header)
  uint32_t total_bytes;   // of the message: all that was sent
  uint32_t reserved0;
  uint64_t types;          // bit n: type n is wanted. All ones: every type, also those that are registered later
  uint64_t process_types;  // bit n: type n is judged by processes
  uint64_t repeat_types;   // bit n: repeats of type n are suppressed
  uint32_t repeat_window_ms;  // 1 to max_repeat_window_ms; 0, with repeat_types 0: none
  uint32_t reserved1;
  uint64_t process_rate_types;  // bit n: type n takes from its process's bucket; 0, with process_rate all 0: none
  filter_rate process_rate;
  filter_table processes;   // filter_process[]
  filter_table images;      // filter_path[]
  filter_table keys;        // filter_path[]
  filter_table type_rates;  // filter_type_rate[]
  uint64_t reserved2[4];
};
static_assert(sizeof(filter_header) == 128);
static_assert(offsetof(filter_header, magic) == 0 && offsetof(filter_header, version) == 4);
static_assert(offsetof(filter_header, header_bytes) == 6 && offsetof(filter_header, total_bytes) == 8);
static_assert(offsetof(filter_header, reserved0) == 12 && offsetof(filter_header, types) == 16);
static_assert(offsetof(filter_header, process_types) == 24 && offsetof(filter_header, repeat_types) == 32);
static_assert(offsetof(filter_header, repeat_window_ms) == 40 && offsetof(filter_header, reserved1) == 44);
static_assert(offsetof(filter_header, process_rate_types) == 48 && offsetof(filter_header, process_rate) == 56);
static_assert(offsetof(filter_header, processes) == 64 && offsetof(filter_header, images) == 72);
static_assert(offsetof(filter_header, keys) == 80 && offsetof(filter_header, type_rates) == 88);
static_assert(offsetof(filter_header, reserved2) == 96);

struct filter_process {
  uint32_t pid;    // at most max_filter_process_id, each once. 0, without descendants: images that are drivers
  uint32_t flags;  // filter_rule_*
};
static_assert(sizeof(filter_process) == 8);
static_assert(offsetof(filter_process, pid) == 0 && offsetof(filter_process, flags) == 4);

// Begins with '\' (an image's with '\' or '/'), has no empty component and no unit 0, and does not end in a separator. The
// same path, folded, may not stand for both including and excluding.
struct filter_path {
  uint32_t offset;  // of UTF-16LE text, even, behind the header
  uint16_t length;  // bytes, even, at least 4
  uint16_t flags;   // filter_rule_exclude or 0
};
static_assert(sizeof(filter_path) == 8);
static_assert(offsetof(filter_path, offset) == 0 && offsetof(filter_path, length) == 4);
static_assert(offsetof(filter_path, flags) == 6);

struct filter_type_rate {
  uint16_t type;  // first_event_type and above, each once
  uint16_t reserved0;
  filter_rate rate;
  uint32_t reserved1;
};
static_assert(sizeof(filter_type_rate) == 16);
static_assert(offsetof(filter_type_rate, type) == 0 && offsetof(filter_type_rate, reserved0) == 2);
static_assert(offsetof(filter_type_rate, rate) == 4 && offsetof(filter_type_rate, reserved1) == 12);

// Why a message is refused. The numbers are part of the format.
enum class filter_error : uint32_t {
  none = 0,
  too_short = 1,          // shorter than the header
  magic = 2,
  version = 3,
  header_bytes = 4,
  total_bytes = 5,        // not what was sent, or more than max_filter_bytes
  reserved = 6,           // something that must be 0 is not
  table_place = 7,        // a table that does not lie in the message, behind the header, on a multiple of 8
  too_many = 8,           // more entries than a table may have
  process_id = 9,         // above max_filter_process_id, or 0 with descendants
  process_twice = 10,
  flags = 11,             // a flag that does not exist
  path_place = 12,        // text that does not lie in the message, or an odd offset or length
  path_form = 13,         // not as described at filter_path
  path_bytes = 14,        // the texts together are longer than the message: entries share text
  path_contradiction = 15,  // the same path includes and excludes
  rate = 16,              // 0, or above the limits
  rate_type = 17,         // a type that cannot be limited
  rate_twice = 18,
  repeat_window = 19,     // above the limit, or types without a window, or a window without types
  process_rate = 20,      // a rate without types, or types without a rate
  not_for_clients = 21,   // a client's own filter knows no repeats and no rates
};

constexpr const char* name_of(filter_error error) {
  switch (error) {
    case filter_error::none: return "no error";
    case filter_error::too_short: return "the message is shorter than its header";
    case filter_error::magic: return "this is not a filter message";
    case filter_error::version: return "the driver does not know this version of filter messages";
    case filter_error::header_bytes: return "the header has another size than its version's";
    case filter_error::total_bytes: return "the message's size is not what was sent, or is above the limit";
    case filter_error::reserved: return "a reserved field is not 0";
    case filter_error::table_place: return "a table does not lie in the message, or not on a multiple of 8";
    case filter_error::too_many: return "a table has more entries than allowed";
    case filter_error::process_id: return "a process id that no process can have";
    case filter_error::process_twice: return "two rules for one process";
    case filter_error::flags: return "an unknown flag";
    case filter_error::path_place: return "the text of a path does not lie in the message, or is not of whole units";
    case filter_error::path_form: return "a path that is not absolute, ends in a separator, or has an empty component";
    case filter_error::path_bytes: return "the paths together are longer than the message";
    case filter_error::path_contradiction: return "the same path is both included and excluded";
    case filter_error::rate: return "a rate or burst that is 0 or above the limit";
    case filter_error::rate_type: return "a rate for a type that cannot be limited";
    case filter_error::rate_twice: return "two rates for one type";
    case filter_error::repeat_window: return "a window for repeats above the limit, without types, or types without a window";
    case filter_error::process_rate: return "a rate per process without types, or types without a rate";
    case filter_error::not_for_clients: return "repeats and rates are for the driver's filter: a client's own has none";
  }
  return "an unknown error";
}

// The answer to a filter that was sent. The request itself succeeds; whether the filter was taken is said here.
struct filter_answer {
  uint32_t error;   // filter_error; if not 0, the filter before stays
  uint32_t offset;  // where in the message the first error is
  uint64_t generation;  // of the filter that is in force now: rises with every change; 0: none was ever set
};
static_assert(sizeof(filter_answer) == 16);
static_assert(offsetof(filter_answer, error) == 0 && offsetof(filter_answer, offset) == 4);
static_assert(offsetof(filter_answer, generation) == 8);

// The answer to the question which filter is in force; its message follows, as it was sent.
struct filter_state {
  uint64_t generation;
  uint32_t message_bytes;        // 0: no filter is set
  uint32_t untracked_processes;  // that the driver had no room for: descendants of those may be judged by the default
};
static_assert(sizeof(filter_state) == 16);
static_assert(offsetof(filter_state, generation) == 0 && offsetof(filter_state, message_bytes) == 8);
static_assert(offsetof(filter_state, untracked_processes) == 12);

// Why an event was filtered: the column under which it is counted. The numbers are part of the statistics format.
enum class filter_reason : uint32_t {
  type = 0,
  process = 1,
  image = 2,
  key = 3,
  repeat = 4,
  type_rate = 5,
  process_rate = 6,
};
inline constexpr uint32_t filter_reason_count = 7;

constexpr const char* name_of(filter_reason reason) {
  switch (reason) {
    case filter_reason::type: return "type";
    case filter_reason::process: return "process";
    case filter_reason::image: return "image";
    case filter_reason::key: return "key";
    case filter_reason::repeat: return "repeat";
    case filter_reason::type_rate: return "type_rate";
    case filter_reason::process_rate: return "process_rate";
  }
  return "unknown";
}

}  // namespace sluice
