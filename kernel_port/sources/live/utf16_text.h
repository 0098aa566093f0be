// Linux names are bytes, NT names 16-bit units. The rule: UTF-8 becomes UTF-16; a byte that is not part of valid UTF-8
// becomes the unpaired surrogate U+DC00 + byte (as Python's "surrogateescape"), so that no two names become one and the
// bytes can be had back. Cut at what a UNICODE_STRING can hold. Any thread.
#pragma once

#include <string>
#include <string_view>

namespace sluice::live {

inline constexpr size_t max_utf16_units = 32766;  // UNICODE_STRING counts bytes in 16 bits

struct utf16_text {
  std::u16string text;
  bool truncated = false;
};
utf16_text to_utf16(std::string_view bytes);

}  // namespace sluice::live
