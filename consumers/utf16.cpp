#include "consumers/utf16.h"

#include <utf8.h>

#include <fmt/format.h>

#include <iterator>

namespace sluice {
namespace {

constexpr char32_t replacement_character = 0xfffd;

constexpr bool is_lead(uint32_t unit) { return unit >= 0xd800 && unit <= 0xdbff; }
constexpr bool is_trail(uint32_t unit) { return unit >= 0xdc00 && unit <= 0xdfff; }

// Characters that act on a terminal or on the shape of a line: C0, DEL, C1, line and paragraph separator, and the marks
// that change the direction of what follows.
constexpr bool is_acting(char32_t c) {
  return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c || c == 0x200e || c == 0x200f ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

// `character(c)` for each code point, `unpaired(unit)` for each surrogate without its partner. utfcpp stops at the first
// invalid unit and cannot go on behind it, so the pairing is done here and utfcpp writes the UTF-8.
template <class character_sink, class unpaired_sink>
void walk(utf16_bytes text, character_sink&& character, unpaired_sink&& unpaired) {
  const size_t units = text.size() / 2;
  const auto unit_at = [&](size_t i) {
    return static_cast<uint32_t>(text[2 * i]) | static_cast<uint32_t>(text[2 * i + 1]) << 8;
  };
  for (size_t i = 0; i < units; ++i) {
    const uint32_t unit = unit_at(i);
    if (is_lead(unit) && i + 1 < units && is_trail(unit_at(i + 1))) {
      character(static_cast<char32_t>(0x10000 + ((unit - 0xd800) << 10) + (unit_at(i + 1) - 0xdc00)));
      ++i;
    } else if (is_lead(unit) || is_trail(unit)) {
      unpaired(unit);
    } else {
      character(static_cast<char32_t>(unit));
    }
  }
  if (text.size() % 2 != 0) unpaired(replacement_character);
}

void append_utf8(std::string& out, char32_t c) {
  if (c < 0x80) {
    out.push_back(static_cast<char>(c));
  } else {
    utf8::unchecked::append(static_cast<uint32_t>(c), std::back_inserter(out));
  }
}

void append_json_character(std::string& out, char32_t c) {
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: break;
  }
  if (is_acting(c)) {
    fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<uint32_t>(c));
  } else {
    append_utf8(out, c);
  }
}

}  // namespace

std::string to_utf8(utf16_bytes text) {
  std::string out;
  out.reserve(text.size() / 2);
  walk(text, [&](char32_t c) { append_utf8(out, c); }, [&](uint32_t) { append_utf8(out, replacement_character); });
  return out;
}

void append_text(std::string& out, utf16_bytes text) {
  walk(
      text,
      [&](char32_t c) {
        if (is_acting(c)) {
          fmt::format_to(std::back_inserter(out), "<U+{:04X}>", static_cast<uint32_t>(c));
        } else if (c == '"') {
          out += "\"\"";
        } else {
          append_utf8(out, c);
        }
      },
      [&](uint32_t) { append_utf8(out, replacement_character); });
}

std::string printable(std::string_view text_untrusted) {
  std::string valid, out;
  utf8::replace_invalid(text_untrusted.begin(), text_untrusted.end(), std::back_inserter(valid), replacement_character);
  for (auto at = valid.begin(); at != valid.end();) {
    const auto c = static_cast<char32_t>(utf8::unchecked::next(at));
    if (is_acting(c)) {
      fmt::format_to(std::back_inserter(out), "<U+{:04X}>", static_cast<uint32_t>(c));
    } else {
      append_utf8(out, c);
    }
  }
  return out;
}

void append_json(std::string& out, utf16_bytes text) {
  walk(
      text, [&](char32_t c) { append_json_character(out, c); },
      [&](uint32_t unit) { fmt::format_to(std::back_inserter(out), "\\u{:04x}", unit); });
}

void append_json(std::string& out, std::string_view ascii) {
  for (const char c : ascii) append_json_character(out, static_cast<unsigned char>(c));
}

}  // namespace sluice
