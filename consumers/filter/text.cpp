#include "consumers/filter/text.h"

#include <utf8.h>

#include <algorithm>
#include <iterator>

namespace sluice::filter {
std::optional<position> invalid_utf8(std::string_view text) {
  const auto wrong = utf8::find_invalid(text.begin(), text.end());
  if (wrong == text.end()) return std::nullopt;
  const std::string_view before = text.substr(0, static_cast<size_t>(wrong - text.begin()));
  const size_t line_start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const auto column = 1 + utf8::unchecked::distance(before.begin() + static_cast<std::ptrdiff_t>(line_start), before.end());
  return position{static_cast<uint32_t>(line), static_cast<uint32_t>(column)};
}

std::u16string to_utf16(std::string_view text) {
  std::string valid;
  utf8::replace_invalid(text.begin(), text.end(), std::back_inserter(valid), 0xfffd);
  std::u16string out;
  utf8::unchecked::utf8to16(valid.begin(), valid.end(), std::back_inserter(out));
  return out;
}

bool has_control_character(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; });
}

}  // namespace sluice::filter
