// From the UTF-16LE of records to UTF-8. The rule for unpaired surrogates (docs/output-formats.md):
//
//   to_utf8, append_text   U+FFFD
//   append_json            the escape of the code unit itself, \ud800: nothing is lost
//
// Windows names are sequences of 16-bit units that need not be valid UTF-16; whoever names a file chooses them. So what
// goes to a terminal or a line never carries a control character. Any thread; throws std::bad_alloc only.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace sluice {

// Bytes of UTF-16LE, as they stand in a payload. No alignment needed; an odd last byte counts as an unpaired unit.
using utf16_bytes = std::span<const uint8_t>;

// Plain conversion: every unpaired surrogate becomes U+FFFD. Control characters stay.
std::string to_utf8(utf16_bytes text);

// For a quoted string in a line of text: as to_utf8, but what could move the cursor, end the line or reorder it is written
// as <U+001B>, and a quote is doubled.
void append_text(std::string& out, utf16_bytes text);

// Of UTF-8 that somebody else wrote, for a line of text: the same, but quotes stay; what is no UTF-8 becomes U+FFFD.
std::string printable(std::string_view text_untrusted);

// Inside the quotes of a JSON string, without them. Reversible: a parser gives back exactly the 16-bit units.
void append_json(std::string& out, utf16_bytes text);
void append_json(std::string& out, std::string_view ascii);

}  // namespace sluice
