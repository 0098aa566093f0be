// The batch: how merged records leave the kernel. A batch is one buffer:
//
//   +--------------+ 0
//   | batch_header |
//   +--------------+ header_bytes
//   | batch_entry  |  who the record is: identity and delivery flags
//   | record       |  record_header, payload, padding to 8 (pipeline/record.h)
//   +--------------+ + entry_bytes
//   | batch_entry  | ...
//   +--------------+ total_bytes
//
// Entries stand in merge order. Whoever reads a batch did not write it: batch_reader checks every field before it uses it.
// Freestanding; any IRQL for memory that may be touched there.
#pragma once

#include "pipeline/record.h"

namespace sluice {

inline constexpr uint32_t batch_magic = 0x42434c53;  // "SLCB"
inline constexpr uint16_t batch_version = 1;

struct batch_header {
  uint32_t magic;
  uint16_t version;
  uint16_t header_bytes;  // where the first entry stands; a newer version may be longer
  uint32_t total_bytes;
  uint32_t record_count;
  uint64_t boot;                  // of every record in the batch
  uint64_t clock_frequency;       // ticks per second
};
static_assert(sizeof(batch_header) == 32);

inline constexpr uint8_t batch_flag_late = 0x01;     // older than something already delivered
// Not a record of a ring: a loss_payload with what this CPU has dropped since load, taken from the published figures, for
// a gap that no record follows yet. It is no part of `committed`; a later LOSS record announces the same gap again. With
// batch_flag_stream: because LOSS records were lost to this client; a batch with only such is not the answer to a flush.
inline constexpr uint8_t batch_flag_figures = 0x02;
// Not a record of a ring: the merge tells of the stream itself (a clock epoch, and its anchor). Position 0, no part of
// `committed`.
inline constexpr uint8_t batch_flag_stream = 0x04;

// Not a record of a ring either: a LOSS record (loss_cause::overwritten) that the reader made where the producer had overtaken it.
// `position` is where the gap begins.
inline constexpr uint8_t batch_flag_overwritten = 0x08;

// Not a record of a ring either: a loss_payload with what this client, and no other, has missed at this place because it was
// slow. Those records are part of `committed`. The entry's cpu is batch_no_cpu.
inline constexpr uint8_t batch_flag_client_loss = 0x10;
inline constexpr uint16_t batch_no_cpu = 0xffff;

struct batch_entry {
  uint32_t entry_bytes;  // this struct, the record and its padding
  uint16_t cpu;
  uint8_t lane;
  uint8_t flags;  // batch_flag_*
  uint64_t position;
};
static_assert(sizeof(batch_entry) == 16);

inline constexpr uint32_t batch_overhead(uint32_t record_length) {
  return static_cast<uint32_t>(sizeof(batch_entry)) + record_stride(record_length);
}

// One delivered record. `payload` points into the batch and is 8-byte aligned if the batch is.
struct delivered_record {
  record_identity identity;
  uint64_t time;
  uint16_t type;
  uint8_t version;
  uint8_t record_flags;
  bool late;
  bool figures;  // batch_flag_figures
  const uint8_t* payload;
  uint32_t payload_length;
  bool of_stream = false;  // batch_flag_stream
  bool overwritten = false;  // batch_flag_overwritten
  bool client_loss = false;  // batch_flag_client_loss
};

enum class batch_status : uint32_t {
  ok,
  end,              // no record left
  too_short,        // the buffer is shorter than a batch header
  wrong_magic,
  wrong_version,
  wrong_length,     // total_bytes or header_bytes contradicts the buffer
  wrong_entry,      // an entry's size contradicts the batch
  wrong_record,     // a record's length contradicts its entry, or it is not a committed record
};

constexpr const char* name_of(batch_status status) {
  switch (status) {
    case batch_status::ok: return "ok";
    case batch_status::end: return "end";
    case batch_status::too_short: return "buffer shorter than a batch header";
    case batch_status::wrong_magic: return "not a batch (wrong magic)";
    case batch_status::wrong_version: return "batch of an unknown version";
    case batch_status::wrong_length: return "batch length contradicts the buffer";
    case batch_status::wrong_entry: return "entry size contradicts the batch";
    case batch_status::wrong_record: return "record contradicts its entry";
  }
  return "unknown";
}

}  // namespace sluice
