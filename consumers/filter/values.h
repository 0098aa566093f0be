// Values of a filter file that are more than a number or a string. Each parser returns the value or says what is wrong
// with the text and what would be right.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::filter {

template <class value>
struct parsed {
  std::optional<value> result;
  std::string error;    // empty if there is a result
  std::string warning;  // of a result that will surprise
};

// "5s", "100ms", "250us", "1.5s", "2m", "1h": exact, in nanoseconds; not 0, at most a day.
parsed<uint64_t> parse_interval(std::string_view text);
// The shortest that parses to the same: "1500ms".
std::string show_interval(uint64_t nanoseconds);

// A registry key in NT form, `\REGISTRY\MACHINE\SOFTWARE`, without a backslash at its end. HKLM, HKEY_LOCAL_MACHINE, HKU and
// HKEY_USERS stand for their NT form. Refused: HKCU, HKCR and HKCC, which mean another key for each process or are links.
parsed<std::u16string> parse_key(std::string_view text);

// An image's path as the kernel gives it, `\Device\HarddiskVolume3\Windows` or `/usr/bin`, without a separator at its end. A
// drive letter is refused: what it stands for is not the client's to say.
parsed<std::u16string> parse_image(std::string_view text);

// Upper case as the kernel compares, as far as this client knows its table (ASCII and Latin-1): for telling duplicates.
// The driver folds by the kernel's own table.
std::u16string folded(std::u16string_view text);

}  // namespace sluice::filter
