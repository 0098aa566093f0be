#include "consumers/filter/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "consumers/filter/text.h"

namespace sluice::filter {
namespace {

__extension__ using uint128 = unsigned __int128;

struct time_unit {
  std::string_view suffix;
  uint64_t nanoseconds;
};
// From the longest to the shortest.
constexpr time_unit time_units[] = {{"h", 3'600'000'000'000}, {"m", 60'000'000'000}, {"s", 1'000'000'000},
                                    {"ms", 1'000'000},        {"us", 1'000},         {"ns", 1}};
constexpr uint64_t longest_interval = 24 * time_units[0].nanoseconds;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// `whole`.`fraction` units, in nanoseconds. None: too long, or no whole number of nanoseconds.
std::optional<uint64_t> scaled(std::string_view whole, std::string_view fraction, uint64_t unit) {
  constexpr size_t most_digits = 18;  // of which a uint64_t holds any
  while (!whole.empty() && whole.front() == '0') whole.remove_prefix(1);
  while (!fraction.empty() && fraction.back() == '0') fraction.remove_suffix(1);
  if (whole.size() + fraction.size() > most_digits) return std::nullopt;
  uint64_t digits = 0, divisor = 1;
  for (const char c : whole) digits = digits * 10 + static_cast<uint64_t>(c - '0');
  for (const char c : fraction) {
    digits = digits * 10 + static_cast<uint64_t>(c - '0');
    divisor *= 10;
  }
  const uint128 product = static_cast<uint128>(digits) * unit;
  if (product % divisor != 0 || product / divisor > longest_interval) return std::nullopt;
  return static_cast<uint64_t>(product / divisor);
}

struct root_name {
  std::string_view name;
  std::string_view nt;      // empty: it has none that holds for every process
  std::string_view reason;  // then
};
constexpr std::string_view per_user =
    "is another key for each user; write the user's: \\REGISTRY\\USER\\S-1-5-21-...";
constexpr std::string_view merged =
    "is a view of two keys; write the one that is meant: \\REGISTRY\\MACHINE\\SOFTWARE\\Classes or "
    "\\REGISTRY\\USER\\S-1-5-21-..._Classes";
constexpr std::string_view current =
    "is a link; write what it leads to: \\REGISTRY\\MACHINE\\SYSTEM\\ControlSet001\\Hardware Profiles\\0001";
constexpr root_name root_names[] = {
    {"HKLM", "\\REGISTRY\\MACHINE", {}},   {"HKEY_LOCAL_MACHINE", "\\REGISTRY\\MACHINE", {}},
    {"HKU", "\\REGISTRY\\USER", {}},       {"HKEY_USERS", "\\REGISTRY\\USER", {}},
    {"HKCU", {}, per_user},                {"HKEY_CURRENT_USER", {}, per_user},
    {"HKCR", {}, merged},                  {"HKEY_CLASSES_ROOT", {}, merged},
    {"HKCC", {}, current},                 {"HKEY_CURRENT_CONFIG", {}, current},
};

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 0x20);
  }
  return out;
}

bool begins_with(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

// What the path meets on its way that the kernel resolves before it tells anybody.
std::string surprise_of(std::string_view key) {
  constexpr std::string_view link = "\\REGISTRY\\MACHINE\\SYSTEM\\CURRENTCONTROLSET";
  const std::string folded_key = upper(key);
  if (begins_with(folded_key, link) && (folded_key.size() == link.size() || folded_key[link.size()] == '\\')) {
    return "CurrentControlSet is a link, and the kernel names what it leads to: this matches nothing where that is "
           "ControlSet001; write \\REGISTRY\\MACHINE\\SYSTEM\\ControlSet001";
  }
  return {};
}

constexpr std::string_view control_character =
    "has a control character, which no path has; in \"...\" a backslash begins an escape: write '...'";

// What a UNICODE_STRING can hold.
parsed<std::u16string> with_length_checked(std::u16string path, std::string warning) {
  constexpr size_t most_units = 32766;
  if (path.size() > most_units) {
    return {{}, fmt::format("this path has {} units of UTF-16; the kernel's have {} at most", path.size(), most_units), {}};
  }
  return {std::move(path), {}, std::move(warning)};
}

}  // namespace

parsed<uint64_t> parse_interval(std::string_view text) {
  size_t at = 0;
  while (at < text.size() && is_digit(text[at])) ++at;
  const std::string_view whole = text.substr(0, at);
  std::string_view fraction;
  bool sound = !whole.empty();
  if (at < text.size() && text[at] == '.') {
    const size_t start = ++at;
    while (at < text.size() && is_digit(text[at])) ++at;
    fraction = text.substr(start, at - start);
    sound = sound && !fraction.empty();
  }
  const std::string_view suffix = text.substr(at);
  const auto* const unit =
      std::find_if(std::begin(time_units), std::end(time_units), [&](const time_unit& u) { return u.suffix == suffix; });
  if (!sound || unit == std::end(time_units)) {
    return {{}, fmt::format("{} is not a time: a number and a unit (ns, us, ms, s, m, h), such as \"5s\" or \"100ms\"", quoted(text)), {}};
  }
  const std::optional<uint64_t> value = scaled(whole, fraction, unit->nanoseconds);
  if (!value) {
    return {{}, fmt::format("{} is out of range: a whole number of nanoseconds, a day at most", quoted(text)), {}};
  }
  if (*value == 0) return {{}, fmt::format("{} is no time at all: it takes more than 0", quoted(text)), {}};
  return {*value, {}, {}};
}

std::string show_interval(uint64_t nanoseconds) {
  for (const time_unit& unit : time_units) {
    if (nanoseconds % unit.nanoseconds == 0) return fmt::format("{}{}", nanoseconds / unit.nanoseconds, unit.suffix);
  }
  return {};
}

parsed<std::u16string> parse_key(std::string_view text) {
  constexpr std::string_view root = "\\REGISTRY";
  const auto wrong = [&](std::string_view why) -> parsed<std::u16string> {
    return {{}, fmt::format("{} {}", quoted(text), why), {}};
  };
  if (text.empty()) return wrong("names no key; such as '\\REGISTRY\\MACHINE\\SOFTWARE'");
  if (has_control_character(text)) return wrong(control_character);
  std::string key(text);
  if (key.front() != '\\') {
    const std::string first = upper(text.substr(0, text.find('\\')));
    const auto* const name =
        std::find_if(std::begin(root_names), std::end(root_names), [&](const root_name& r) { return r.name == first; });
    if (name == std::end(root_names)) {
      return wrong("is not a registry path: '\\REGISTRY\\MACHINE\\...', '\\REGISTRY\\USER\\...', or 'HKLM\\...', 'HKU\\...'");
    }
    if (name->nt.empty()) return wrong(fmt::format("cannot be used: {} {}", name->name, name->reason));
    key = std::string(name->nt) + key.substr(first.size());
  }
  if (key.size() > 1 && key.back() == '\\') key.pop_back();
  const std::string folded_key = upper(key);
  if (folded_key != root && !begins_with(folded_key, std::string(root) + "\\")) {
    return wrong("is not a registry path: those begin with '\\REGISTRY\\', such as '\\REGISTRY\\MACHINE\\SOFTWARE'");
  }
  if (key.find("\\\\") != std::string::npos) return wrong("has two backslashes in a row, which no key's path has");
  return with_length_checked(to_utf16(key), surprise_of(key));
}

parsed<std::u16string> parse_image(std::string_view text) {
  const auto wrong = [&](std::string_view why) -> parsed<std::u16string> {
    return {{}, fmt::format("{} {}", quoted(text), why), {}};
  };
  const auto is_separator = [](char c) { return c == '\\' || c == '/'; };
  if (has_control_character(text)) return wrong(control_character);
  if (text.size() >= 2 && text[1] == ':') {
    return wrong(fmt::format("has a drive letter; write it as the kernel names it: '\\Device\\HarddiskVolume3\\...', or "
                             "where a process is created perhaps '\\??\\{}'", text));
  }
  if (text.empty() || !is_separator(text.front())) {
    return wrong("is not an absolute path; such as '\\Device\\HarddiskVolume3\\Windows', or '/usr/bin' of a Linux process");
  }
  for (size_t i = 1; i < text.size(); ++i) {
    if (is_separator(text[i - 1]) && is_separator(text[i])) return wrong("has two separators in a row, which no path has");
  }
  if (is_separator(text.back())) text.remove_suffix(1);
  if (text.empty()) return wrong("is every path there is");
  return with_length_checked(to_utf16(text), {});
}

std::u16string folded(std::u16string_view text) {
  std::u16string out(text);
  for (char16_t& unit : out) {
    const bool lower = (unit >= u'a' && unit <= u'z') || (unit >= 0xe0 && unit <= 0xfe && unit != 0xf7);
    if (lower) unit = static_cast<char16_t>(unit - 0x20);
  }
  return out;
}

}  // namespace sluice::filter
