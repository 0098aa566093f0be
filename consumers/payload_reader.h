// Takes fields out of a payload by offset, checking each. The first contradiction is remembered as the damage; what is
// read after it is not used. Internal to the decoder.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>

#include "consumers/decoded_event.h"

namespace sluice {

class payload_reader {
 public:
  // `fixed_bytes`: the fixed part that the payload must have. 0 for a version older than the one known here.
  payload_reader(std::span<const uint8_t> payload_untrusted, size_t fixed_bytes)
      : payload_(payload_untrusted), fixed_bytes_(fixed_bytes) {}

  template <class value>
  std::optional<value> field(size_t offset, std::string_view name) {
    static_assert(std::is_trivially_copyable_v<value>);
    if (offset + sizeof(value) > payload_.size()) {
      // Absent in an older version. Anything else must be whole.
      if (offset < fixed_bytes_) damage(name, fmt::format("payload of {} bytes ends before it", payload_.size()));
      return std::nullopt;
    }
    value v;
    std::memcpy(&v, payload_.data() + offset, sizeof(v));
    return v;
  }

  // A string whose field stands at `offset`. Its text stands behind the fixed part.
  std::optional<string_value> string(size_t offset, std::string_view name) {
    const std::optional<string_field> described = field<string_field>(offset, name);
    if (!described) return std::nullopt;
    const string_field s = *described;
    string_value value;
    if (static_cast<size_t>(s.offset) + s.length > payload_.size()) {
      damage(name, fmt::format("offset {} and length {} lie outside the payload of {} bytes", s.offset, s.length,
                               payload_.size()));
      return std::nullopt;
    }
    if (s.length % 2 != 0) {
      damage(name, fmt::format("odd length {} of a UTF-16 string", s.length));
      return std::nullopt;
    }
    if (s.length != 0 && s.offset < std::max(fixed_bytes_, offset + sizeof(string_field))) {
      damage(name, fmt::format("offset {} lies inside the fixed fields", s.offset));
      return std::nullopt;
    }
    value.truncated = (s.flags & string_flag_truncated) != 0;
    value.original_length = s.original_length;
    if (value.truncated && s.original_length <= s.length) {
      damage(name, fmt::format("truncated to {} bytes from {}", s.length, s.original_length));
      return std::nullopt;
    }
    if ((s.flags & string_flag_source_gone) != 0) {
      value.missing = missing_reason::source_gone;
    } else if ((s.flags & string_flag_unavailable) != 0) {
      value.missing = missing_reason::unavailable;
    }
    if (value.missing != missing_reason::none && s.length != 0) {
      damage(name, fmt::format("flagged as missing, with a length of {}", s.length));
      return std::nullopt;
    }
    value.text = payload_.subspan(s.offset, s.length);
    return value;
  }

  // Raw bytes whose field stands at `offset`; they stand behind the fixed part.
  std::optional<bytes_value> bytes(size_t offset, std::string_view name) {
    const std::optional<bytes_field> described = field<bytes_field>(offset, name);
    if (!described) return std::nullopt;
    const bytes_field b = *described;
    if (uint64_t{b.offset} + b.length > payload_.size()) {
      damage(name, fmt::format("offset {} and length {} lie outside the payload of {} bytes", b.offset, b.length,
                               payload_.size()));
      return std::nullopt;
    }
    if (b.length != 0 && b.offset < std::max(fixed_bytes_, offset + sizeof(bytes_field))) {
      damage(name, fmt::format("offset {} lies inside the fixed fields", b.offset));
      return std::nullopt;
    }
    bytes_value value;
    value.truncated = (b.flags & string_flag_truncated) != 0;
    value.original_length = b.original_length;
    if ((b.flags & string_flag_unavailable) != 0) value.missing = missing_reason::unavailable;
    const bool whole = !value.truncated && value.missing == missing_reason::none;
    if (value.missing != missing_reason::none && b.length != 0) {
      damage(name, fmt::format("flagged as missing, with a length of {}", b.length));
      return std::nullopt;
    }
    if (whole ? b.original_length != b.length : value.truncated && b.original_length <= b.length) {
      damage(name, fmt::format("{} bytes of {}, {}", b.length, b.original_length, whole ? "not truncated" : "truncated"));
      return std::nullopt;
    }
    value.bytes = payload_.subspan(b.offset, b.length);
    return value;
  }

  std::span<const uint8_t> payload() const { return payload_; }

  void damage(std::string_view name, std::string what) {
    if (damage_) return;
    damage_ = damaged_event{name, std::move(what), payload_, {}};
  }
  const std::optional<damaged_event>& damaged() const { return damage_; }

 private:
  std::span<const uint8_t> payload_;
  size_t fixed_bytes_;
  std::optional<damaged_event> damage_;
};

}  // namespace sluice
