// Strings and bytes of a decoded record. They point into the batch that the record came in.
#pragma once

#include <cstdint>
#include <span>

#include "consumers/utf16.h"

namespace sluice {

enum class missing_reason : uint8_t {
  none,
  unavailable,  // the kernel gave no string, or it could not be read
  source_gone,  // the process had gone before it could be asked
};

struct string_value {
  utf16_bytes text;
  missing_reason missing = missing_reason::none;
  bool truncated = false;
  uint16_t original_length = 0;  // bytes, before it was cut
};

struct bytes_value {
  std::span<const uint8_t> bytes;
  missing_reason missing = missing_reason::none;
  bool truncated = false;
  uint32_t original_length = 0;  // before it was cut
};

}  // namespace sluice
