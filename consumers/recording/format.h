// The recording: events on disk, as they were read. Described for other programs in docs/recording-format.md.
//
//   +------------------+ 0
//   | recording_header |   names the file: magic, version, file_id
//   +------------------+ header_bytes
//   | block: about     |   what a reader must know before the first event: capabilities, clock, own types
//   | block: events    |   batches (pipeline/batch.h), one after another, compressed
//   | block: events    |
//   | block: types     |   wherever a driver declared another type, in front of the events that need it
//   | block: index     |   where the event blocks before it stand; every so often, each naming the one before
//   | ...              |
//   | block: end       |   the accounts, and how the recording ended
//   | block: index     |
//   +------------------+
//   | trailer          |   where the last index stands
//   +------------------+
//
//   block = block_header (checksummed), stored bytes (checksummed), padding to 8
//
// Each block can be read without any other: its header has the clock's relation to UTC, and how many records
// were before it. So a file that was cut, or damaged in the middle, gives everything but the blocks that were
// hit, and says how many records those held. What a file says is not trusted: every field is checked before
// it is used.
#pragma once

#include <cstddef>
#include <cstdint>

#include "producers/events.h"

namespace sluice::recording {

inline constexpr char header_magic[8] = {'S', 'L', 'U', 'I', 'C', 'E', 'R', '\n'};
inline constexpr char trailer_magic[8] = {'S', 'L', 'U', 'I', 'C', 'E', 'E', '\n'};
inline constexpr uint32_t block_magic = 0x4b424c53;  // "SLBK"
inline constexpr uint16_t format_version = 1;

inline constexpr uint32_t block_alignment = 8;
inline constexpr uint32_t max_content_bytes = 16u << 20;  // of a block, before compression
inline constexpr uint32_t max_batch_bytes = 1u << 20;     // of a batch within it

struct recording_header {
  char magic[8];
  uint16_t version;
  uint16_t header_bytes;  // where the first block stands; a newer version may be longer
  uint32_t reserved;
  uint64_t file_id;  // random: tells this file's blocks from what an older file left on the disk
  uint64_t boot;
  uint64_t created_utc;  // 100 ns units since 1601-01-01
  uint32_t reserved1;
  uint32_t checksum;  // CRC-32 of all bytes before it
};
static_assert(sizeof(recording_header) == 48);
static_assert(offsetof(recording_header, checksum) == 44);

// A reader passes over kinds that it does not know.
enum class block_kind : uint8_t { about = 1, events = 2, types = 3, index = 4, end = 5 };

inline constexpr uint8_t block_flag_plain = 0x01;          // stored as it is, not compressed
inline constexpr uint8_t block_flag_clock_changes = 0x02;  // an anchor stands among its records

struct block_header {
  uint32_t magic;
  uint16_t header_bytes;
  block_kind kind;
  uint8_t flags;
  uint64_t file_id;
  uint64_t sequence;        // 0, 1, 2, ... over all blocks
  uint32_t stored_bytes;    // behind the header, without padding
  uint32_t content_bytes;   // decompressed
  uint64_t records_before;  // in the event blocks before this one
  uint64_t first_time;      // least and largest time of the records in it, ticks; 0 if there are none
  uint64_t last_time;
  anchor_payload anchor;  // in force before its first record; frequency 0: none known
  uint32_t record_count;
  uint32_t stored_checksum;  // CRC-32 of the stored bytes
  uint32_t reserved;
  uint32_t checksum;  // CRC-32 of all bytes of the header before it
};
static_assert(sizeof(block_header) == 96);
static_assert(offsetof(block_header, records_before) == 32);
static_assert(offsetof(block_header, anchor) == 56);
static_assert(offsetof(block_header, checksum) == 92);

// Content of the about block: this, then `capabilities_bytes` of protocol::capabilities, then `types_bytes`
// of declarations as protocol::code_types gives them, then `title_bytes` of UTF-8. Each part is padded to 8.
struct about_content {
  uint32_t capabilities_bytes;
  uint32_t types_bytes;
  uint32_t title_bytes;
  uint32_t reserved;
};
static_assert(sizeof(about_content) == 16);

enum class end_reason : uint32_t {
  closed = 0,        // as asked
  disk_full = 1,     // nothing more fitted
  write_failed = 2,  // another failure of the file
};

// Content of the end block: this, then protocol::statistics_header, then `row_count`
// protocol::statistics_row, then `raised_count` raised_entry.
struct end_content {
  end_reason reason;
  uint32_t has_statistics;  // 0: nobody could ask the driver any more; the figures are zero
  uint32_t row_count;
  uint32_t raised_count;
  uint64_t records_stored;
  uint64_t records_not_stored;  // read from the driver, and refused by the disk
  uint64_t always_on;           // bit n: type n was on from the first callback to the last
};
static_assert(sizeof(end_content) == 40);

struct raised_entry {
  uint32_t type;
  uint32_t reserved;
  uint64_t count;
};
static_assert(sizeof(raised_entry) == 16);

// Content of an index block: this, then `entry_count` index_entry.
struct index_content {
  uint64_t previous_index;  // where the index before this one stands; 0: there is none
  uint64_t entry_count;
};
static_assert(sizeof(index_content) == 16);

struct index_entry {
  uint64_t offset;  // of the block
  block_header header;
};
static_assert(sizeof(index_entry) == 104);
inline constexpr uint32_t entries_per_index = 4096;

struct trailer {
  char magic[8];
  uint64_t file_id;
  uint64_t index_offset;
  uint32_t reserved;
  uint32_t checksum;
};
static_assert(sizeof(trailer) == 32);

constexpr uint64_t padded(uint64_t bytes) {
  return (bytes + (block_alignment - 1)) & ~uint64_t{block_alignment - 1};
}

}  // namespace sluice::recording
