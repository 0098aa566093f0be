#include "kernel_port/sources/live/utf16_text.h"

#include <utf8.h>

namespace sluice::live {

utf16_text to_utf16(std::string_view bytes) {
  utf16_text result;
  const char* at = bytes.data();
  const char* end = at + bytes.size();
  while (at != end) {
    char16_t units[2];
    size_t count = 1;
    const char* next = at;
    uint32_t code_point = 0;
    if (utf8::internal::validate_next(next, end, code_point) != utf8::internal::UTF8_OK) {
      next = at + 1;
      units[0] = static_cast<char16_t>(0xdc00 + static_cast<unsigned char>(*at));
    } else if (code_point < 0x10000) {
      units[0] = static_cast<char16_t>(code_point);
    } else {
      units[0] = static_cast<char16_t>(0xd7c0 + (code_point >> 10));
      units[1] = static_cast<char16_t>(0xdc00 + (code_point & 0x3ff));
      count = 2;
    }
    if (result.text.size() + count > max_utf16_units) {
      result.truncated = true;
      break;
    }
    result.text.append(units, count);
    at = next;
  }
  return result;
}

}  // namespace sluice::live
