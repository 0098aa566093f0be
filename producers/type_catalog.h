// The catalog: where a driver keeps the declarations of its own types, on pages of their own, so that whoever finds its
// rings in a memory image can also tell what is in them (docs/image-format.md).
//
//   0               +--------------------------------------------+
//                   | catalog_header  constant but for `count`   |
//   header_bytes    +--------------------------------------------+
//                   | type_entry[capacity], the first `count`    |
//                   |   complete                                 |
//   catalog_bytes   +--------------------------------------------+
//
// `count` is stored after the entry that it counts. Nothing here is ever mapped for a client. Freestanding.
#pragma once

#include "pipeline/checksum.h"
#include "producers/events.h"

namespace sluice {

inline constexpr uint32_t catalog_magic = 0x54434c53;  // "SLCT"
inline constexpr uint16_t catalog_version = 1;
inline constexpr uint32_t catalog_capacity = max_record_types - first_own_type;

struct catalog_header {
  uint32_t magic;
  uint16_t version;
  uint16_t header_bytes;
  uint32_t catalog_bytes;
  uint32_t entry_bytes;
  uint64_t boot;  // as in the rings' regions
  uint32_t capacity;
  uint32_t checksum;  // CRC-32 of the header before it
  uint32_t count;
  uint32_t reserved;
};
static_assert(sizeof(catalog_header) == 40);
static_assert(offsetof(catalog_header, checksum) == 28);

// A declaration as it stands in the stream, but for the fields that it does not have.
struct type_entry {
  type_declaration_payload head;
  field_declaration fields[max_fields];
};
static_assert(sizeof(type_entry) == 1320);

struct type_catalog {
  catalog_header header;
  type_entry entries[catalog_capacity];
};

inline uint32_t checksum_of(const catalog_header& header) {
  return checksum(&header, offsetof(catalog_header, checksum));
}

// In zeroed memory.
inline void create_catalog(type_catalog& catalog, uint64_t boot) {
  catalog.header = {catalog_magic, catalog_version, sizeof(catalog_header), sizeof(type_catalog), sizeof(type_entry),
                    boot,          catalog_capacity, 0,                     0,                    0};
  catalog.header.checksum = checksum_of(catalog.header);
}

// Whether the header of a catalog that somebody else made holds; `header` is a copy.
inline bool is_sound(const catalog_header& header) {
  return header.magic == catalog_magic && header.version == catalog_version &&
         header.header_bytes == sizeof(catalog_header) && header.catalog_bytes == sizeof(type_catalog) &&
         header.entry_bytes == sizeof(type_entry) && header.capacity == catalog_capacity &&
         header.count <= header.capacity && header.checksum == checksum_of(header);
}

}  // namespace sluice
