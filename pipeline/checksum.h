// CRC-32 as in zlib and Ethernet, without a table: for the few bytes of a header that is read by strangers. It finds
// damage, not intent. Freestanding. Any IRQL for memory that may be touched there.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace sluice {

inline uint32_t checksum(const void* bytes, size_t length) {
  const uint8_t* const from = static_cast<const uint8_t*>(bytes);
  uint32_t value = ~uint32_t{0};
  for (size_t i = 0; i < length; ++i) {
    value ^= from[i];
    for (uint32_t bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0xedb88320u : 0u);
  }
  return ~value;
}

}  // namespace sluice
