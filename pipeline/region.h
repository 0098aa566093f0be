// The region: the memory of one ring that both sides see, page-aligned so that a mapping can protect its parts.
//
//   0            +--------------------------------------------+
//                | region_header   constant after creation;   |  producer page: read-only to a client
//                |   says all that a stranger must know       |
//                |   (docs/image-format.md), with a checksum  |
//   + 128        | published       position, mod 2^32         |
//   + 256        | loss figures    what was dropped so far    |
//   + 640        | tail figures    what was overwritten       |
//   data_offset  +--------------------------------------------+
//                | capacity bytes of records                  |  data: read-only to a client
//                | apron: one longest record, so that a       |
//                |   record is always contiguous              |
//   consumer_    +--------------------------------------------+
//   offset       | consumed        position, mod 2^32         |  consumer page: the only writable one
//                +--------------------------------------------+
//
// The kernel never depends on what a client can write except `consumed`, which it checks (R5, pipeline/ring.h). A client
// that is given a region checks it with check_region before it follows anything in it. All that the kernel needs for
// itself is in private memory, never mapped (pipeline/cpu_rings.h). Freestanding.
#pragma once

#include "pipeline/checksum.h"
#include "pipeline/loss.h"
#include "pipeline/seam.h"

namespace sluice {

inline constexpr uint32_t region_page = 4096;
inline constexpr uint32_t region_magic = 0x52434c53;  // "SLCR"
inline constexpr uint16_t region_version = 2;
inline constexpr uint32_t min_capacity = 4096;
inline constexpr uint32_t max_capacity = 1u << 30;
// The longest record that any ring may have: far inside the length field of a header, so that no sum of lengths overflows.
inline constexpr uint32_t max_record_limit = (record_length_mask + 1) / 2;

// What a ring is made of, bytes. check_geometry says which values go together.
struct ring_geometry {
  uint32_t capacity;        // power of two
  uint32_t max_record;      // longest record, header included; a multiple of 8; the apron
  uint32_t critical_bytes;  // part of the capacity that only critical types may use
};

// What a ring does when it is full. A property of the region: readers have to know.
enum class ring_mode : uint8_t {
  discard = 0,    // the newest event is dropped; what is in the ring stays until the consumer gives it back
  overwrite = 1,  // the oldest records make room, read or not (pipeline/tail.h)
};
inline constexpr uint32_t ring_mode_count = 2;

constexpr const char* name_of(ring_mode mode) { return mode == ring_mode::discard ? "discard" : "overwrite"; }

struct region_header {
  uint32_t magic;
  uint16_t version;
  uint16_t header_bytes;
  uint32_t capacity;
  uint32_t max_record;
  uint32_t critical_bytes;
  uint32_t data_offset;
  uint32_t consumer_offset;
  uint32_t region_bytes;
  uint64_t boot;
  uint64_t clock_frequency;
  uint16_t cpu;
  uint8_t lane;
  uint8_t mode;             // ring_mode
  uint32_t start_position;  // where the first record of this ring's life stands
  uint32_t cpu_count;       // CPUs that have rings in this boot; 0: not known
  uint32_t reserved1;
  uint64_t anchor_counter;  // the clock's relation to UTC when the region was made: at `anchor_counter` it was `anchor_utc`
  uint64_t anchor_utc;      // 100 ns units since 1601-01-01; 0: not known. Later anchors are records
  uint32_t reserved2;
  uint32_t checksum;        // CRC-32 of the header before it
};
static_assert(sizeof(region_header) == 88);
static_assert(offsetof(region_header, boot) == 32);
static_assert(offsetof(region_header, mode) == 51);
static_assert(offsetof(region_header, start_position) == 52);
static_assert(offsetof(region_header, anchor_counter) == 64);
static_assert(offsetof(region_header, checksum) == sizeof(region_header) - sizeof(uint32_t));

// What this CPU has dropped since load, published at each drop, so that a reader learns of a loss that no record follows.
// Every word is stored with order::publish_loss between two moves of `sequence`, which is odd meanwhile.
template <class seam>
struct loss_figures {
  typename seam::word sequence;
  typename seam::word first_time[2];  // of the last gap, announced meanwhile or not; low, high
  typename seam::word last_time[2];
  typename seam::word bytes[2];               // dropped since load
  typename seam::word events[2];              // dropped since load
  typename seam::word dropped[seam::types];   // by type since load, mod 2^32
};

// Overwrite mode: how far the producer has passed records to make room, published before their bytes are overwritten. All as one
// between two moves of `sequence`, as above; the tail alone in pipeline/tail.h.
template <class seam>
struct tail_figures {
  typename seam::word sequence;
  typename seam::word tail[2];  // low, high: where the oldest record begins that is left; grows from the start position
  typename seam::word committed[seam::types][2];  // by type, low, high: committed records before the tail, read or not
};

template <class seam>
struct producer_page {
  region_header header;
  alignas(shared_word_distance) typename seam::word published;
  alignas(shared_word_distance) loss_figures<seam> loss;
  alignas(shared_word_distance) tail_figures<seam> tail;
};

template <class seam>
struct consumer_page {
  alignas(shared_word_distance) typename seam::word consumed;
};

static_assert(offsetof(producer_page<native_seam>, published) == 128);
static_assert(offsetof(producer_page<native_seam>, loss) == 256);
static_assert(offsetof(producer_page<native_seam>, tail) == 640);
static_assert(sizeof(producer_page<native_seam>) <= region_page);
static_assert(sizeof(consumer_page<native_seam>) <= region_page);

enum class region_status : uint32_t {
  ok,
  too_short,
  misaligned,
  wrong_magic,
  wrong_version,
  wrong_capacity,
  wrong_max_record,
  wrong_critical_bytes,
  wrong_offset,
  wrong_size,
  wrong_lane,
  wrong_mode,
  wrong_frequency,
  wrong_cpu,
  wrong_checksum,
};

constexpr const char* name_of(region_status status) {
  switch (status) {
    case region_status::ok: return "ok";
    case region_status::too_short: return "shorter than a region header";
    case region_status::misaligned: return "not aligned to a page";
    case region_status::wrong_magic: return "not a ring region (wrong magic)";
    case region_status::wrong_version: return "ring region of an unknown version";
    case region_status::wrong_capacity: return "capacity is not a power of two from 4 KiB to 1 GiB";
    case region_status::wrong_max_record: return "longest record contradicts the capacity";
    case region_status::wrong_critical_bytes: return "critical part contradicts the capacity";
    case region_status::wrong_offset: return "data or consumer page is not where the sizes say";
    case region_status::wrong_size: return "region is shorter than its header says";
    case region_status::wrong_lane: return "unknown lane";
    case region_status::wrong_mode: return "unknown mode";
    case region_status::wrong_frequency: return "clock frequency is zero";
    case region_status::wrong_cpu: return "CPU is not one of this boot's";
    case region_status::wrong_checksum: return "checksum of the region header does not match";
  }
  return "unknown";
}

constexpr uint32_t round_up_to_page(uint32_t bytes) { return (bytes + (region_page - 1)) & ~(region_page - 1); }

// The longest LOSS record; every ring has room for one in front of an event.
inline constexpr uint32_t max_loss_record = record_header_size + max_loss_payload;

[[nodiscard]] constexpr region_status check_geometry(const ring_geometry& geometry) {
  if (geometry.capacity < min_capacity || geometry.capacity > max_capacity ||
      (geometry.capacity & (geometry.capacity - 1)) != 0) {
    return region_status::wrong_capacity;
  }
  if (geometry.max_record % record_alignment != 0 || geometry.max_record < max_loss_record ||
      geometry.max_record > geometry.capacity / 2 || geometry.max_record > max_record_limit) {
    return region_status::wrong_max_record;
  }
  // An ordinary event of the longest kind must fit beside a LOSS record, or it never could.
  if (geometry.critical_bytes % record_alignment != 0 || geometry.critical_bytes > geometry.capacity / 2 ||
      geometry.capacity - geometry.critical_bytes < geometry.max_record + max_loss_record) {
    return region_status::wrong_critical_bytes;
  }
  return region_status::ok;
}

constexpr uint32_t region_data_offset() { return region_page; }
constexpr uint32_t region_consumer_offset(const ring_geometry& geometry) {
  return region_data_offset() + round_up_to_page(geometry.capacity + geometry.max_record);
}
constexpr uint32_t region_bytes(const ring_geometry& geometry) {
  return region_consumer_offset(geometry) + region_page;
}

// The parts of a region, once it is created or checked.
template <class seam>
struct region_view {
  producer_page<seam>* producer = nullptr;
  consumer_page<seam>* consumer = nullptr;
  typename seam::memory data;
  ring_geometry geometry{};
  uint32_t start_position = 0;
  uint16_t cpu = 0;
  uint8_t lane = 0;
  ring_mode mode = ring_mode::discard;
};

struct region_identity {
  uint64_t boot;
  uint64_t clock_frequency;
  uint16_t cpu;
  uint8_t lane;
  uint32_t start_position;
  uint32_t cpu_count = 0;
  uint64_t anchor_counter = 0;
  uint64_t anchor_utc = 0;
};

// The checksum of a header as it stands.
inline uint32_t checksum_of(const region_header& header) {
  return checksum(&header, offsetof(region_header, checksum));
}

// Writes an empty region into zeroed, page-aligned memory of region_bytes(geometry). `geometry` has been checked.
inline region_view<native_seam> create_region(void* memory, const ring_geometry& geometry,
                                              const region_identity& identity,
                                              ring_mode mode = ring_mode::discard) {
  uint8_t* const base = static_cast<uint8_t*>(memory);
  region_view<native_seam> view;
  view.producer = reinterpret_cast<producer_page<native_seam>*>(base);
  view.consumer = reinterpret_cast<consumer_page<native_seam>*>(base + region_consumer_offset(geometry));
  view.data = native_seam::memory(base + region_data_offset());
  view.geometry = geometry;
  view.start_position = identity.start_position;
  view.cpu = identity.cpu;
  view.lane = identity.lane;
  view.mode = mode;

  region_header& header = view.producer->header;
  header.magic = region_magic;
  header.version = region_version;
  header.header_bytes = sizeof(region_header);
  header.capacity = geometry.capacity;
  header.max_record = geometry.max_record;
  header.critical_bytes = geometry.critical_bytes;
  header.data_offset = region_data_offset();
  header.consumer_offset = region_consumer_offset(geometry);
  header.region_bytes = region_bytes(geometry);
  header.boot = identity.boot;
  header.clock_frequency = identity.clock_frequency;
  header.cpu = identity.cpu;
  header.lane = identity.lane;
  header.mode = static_cast<uint8_t>(mode);
  header.start_position = identity.start_position;
  header.cpu_count = identity.cpu_count;
  header.reserved1 = 0;
  header.anchor_counter = identity.anchor_counter;
  header.anchor_utc = identity.anchor_utc;
  header.reserved2 = 0;
  header.checksum = checksum_of(header);
  view.producer->published.store(identity.start_position, memory_order::relaxed);  // nobody shares the region yet
  view.producer->tail.tail[0].store(identity.start_position, memory_order::relaxed);
  view.consumer->consumed.store(identity.start_position, memory_order::relaxed);
  return view;
}

// Whether a header that somebody else made holds; `header` is a copy. Says nothing about how much memory follows it.
[[nodiscard]] inline region_status check_header(const region_header& header) {
  if (header.magic != region_magic) return region_status::wrong_magic;
  if (header.version != region_version || header.header_bytes != sizeof(region_header)) {
    return region_status::wrong_version;
  }
  const ring_geometry geometry{header.capacity, header.max_record, header.critical_bytes};
  if (const region_status status = check_geometry(geometry); status != region_status::ok) return status;
  if (header.data_offset != region_data_offset() || header.consumer_offset != region_consumer_offset(geometry)) {
    return region_status::wrong_offset;
  }
  if (header.region_bytes != region_bytes(geometry)) return region_status::wrong_size;
  if (header.lane >= lanes_per_cpu) return region_status::wrong_lane;
  if (header.mode >= ring_mode_count) return region_status::wrong_mode;
  if (header.clock_frequency == 0) return region_status::wrong_frequency;
  if (header.start_position % record_alignment != 0) return region_status::wrong_offset;
  if (header.cpu_count != 0 && header.cpu >= header.cpu_count) return region_status::wrong_cpu;
  return header.checksum == checksum_of(header) ? region_status::ok : region_status::wrong_checksum;
}

// Checks a region that somebody else made, and fills `view` only if all of it holds. The header is read once, into a copy.
// `consumer`: where the consumer page is if it does not follow the data, as in a client's address space; null: it does.
[[nodiscard]] inline region_status check_region(void* memory, size_t bytes, region_view<native_seam>& view,
                                                void* consumer = nullptr) {
  if (bytes < sizeof(producer_page<native_seam>)) return region_status::too_short;
  if (reinterpret_cast<uintptr_t>(memory) % region_page != 0) return region_status::misaligned;
  uint8_t* const base = static_cast<uint8_t*>(memory);
  region_header header;
  copy_bytes(&header, base, sizeof header);
  if (const region_status status = check_header(header); status != region_status::ok) return status;
  if ((consumer == nullptr ? header.region_bytes : header.consumer_offset) > bytes) return region_status::wrong_size;
  if (reinterpret_cast<uintptr_t>(consumer) % region_page != 0) return region_status::misaligned;
  const ring_geometry geometry{header.capacity, header.max_record, header.critical_bytes};
  view.producer = reinterpret_cast<producer_page<native_seam>*>(base);
  view.consumer = static_cast<consumer_page<native_seam>*>(
      consumer != nullptr ? consumer : base + region_consumer_offset(geometry));
  view.data = native_seam::memory(base + region_data_offset());
  view.geometry = geometry;
  view.start_position = header.start_position;
  view.cpu = header.cpu;
  view.lane = header.lane;
  view.mode = static_cast<ring_mode>(header.mode);
  return region_status::ok;
}

}  // namespace sluice
