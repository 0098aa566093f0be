// Text of a filter file: UTF-8 there, UTF-16 in the kernel.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "consumers/filter/diagnostic.h"

namespace sluice::filter {

// Where the text stops being UTF-8; none: it does not.
std::optional<position> invalid_utf8(std::string_view text);

// Of valid UTF-8; what is not becomes U+FFFD.
std::u16string to_utf16(std::string_view text);

// For the functions of consumers/utf16.h. The text stays the caller's.
inline std::span<const uint8_t> bytes_of(const std::u16string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size() * sizeof(char16_t)};
}

// True: the text has a character that no path of the kernel's has (U+0000 to U+001F).
bool has_control_character(std::string_view text);

}  // namespace sluice::filter
