#include "consumers/tool/option_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>

#include "consumers/stream_clock.h"
#include "pipeline/region.h"
#include "producers/events.h"

namespace sluice::tool {
namespace {

struct unit {
  std::string_view suffix;
  double factor;
};

constexpr std::array<unit, 6> time_units = {{{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}}};
constexpr double longest = 366.0 * 24 * 3600 * 1e9;

}  // namespace

parsed<duration_limit> parse_duration(std::string_view text) {
  if (text == "0" || text == "forever") return {duration_limit(), {}};
  const char* const end = text.data() + text.size();
  double number = 0;
  const auto [rest, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  const std::string_view suffix(rest, static_cast<size_t>(end - rest));
  if (error == std::errc() && number >= 0) {
    for (const unit& u : time_units) {
      if (u.suffix != suffix) continue;
      const double nanoseconds = number * u.factor;
      if (nanoseconds > longest) return {{}, fmt::format("'{}' is longer than a year; 'forever' has no limit", text)};
      if (nanoseconds == 0) return {duration_limit(), {}};
      if (nanoseconds < 1) break;
      return {duration_limit(std::chrono::nanoseconds(static_cast<int64_t>(nanoseconds))), {}};
    }
  }
  return {{}, fmt::format("'{}' is not a duration: a number and a unit, such as 10s, 500ms, 2m, 1h; or 0 or forever", text)};
}

parsed<uint32_t> parse_ring_size(std::string_view text) {
  const char* const end = text.data() + text.size();
  uint64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  const std::string_view suffix(rest, static_cast<size_t>(end - rest));
  uint32_t shift = 0;
  bool known = error == std::errc();
  if (suffix == "KiB" || suffix == "K") {
    shift = 10;
  } else if (suffix == "MiB" || suffix == "M") {
    shift = 20;
  } else if (suffix == "GiB" || suffix == "G") {
    shift = 30;
  } else if (!suffix.empty() && suffix != "B") {
    known = false;
  }
  if (!known) return {{}, fmt::format("'{}' is not a size: a number and a unit, such as 64KiB or 1MiB", text)};
  const bool fits = number <= max_capacity >> shift;
  const uint64_t bytes = fits ? number << shift : 0;
  if (!fits || bytes < min_capacity) {
    return {{}, fmt::format("'{}' is out of range: a ring has {} to {} bytes (4KiB to 1GiB)", text, min_capacity, max_capacity)};
  }
  if (!std::has_single_bit(bytes)) {
    const uint64_t below = std::bit_floor(bytes);
    return {{}, fmt::format("'{}' is {} bytes, not a power of two; {} and {} are", text, bytes, below, below * 2)};
  }
  return {static_cast<uint32_t>(bytes), {}};
}

parsed<std::vector<std::string>> parse_types(std::string_view text) {
  std::vector<std::string> words;
  size_t start = 0;
  while (start <= text.size()) {
    const size_t comma = std::min(text.find(',', start), text.size());
    const std::string_view word = text.substr(start, comma - start);
    const bool is_name = !word.empty() && word.size() <= max_name_length &&
                         std::all_of(word.begin(), word.end(), [](char c) { return c > ' ' && c <= '~'; });
    if (!is_name) {
      return {{}, fmt::format("'{}' in '{}' is not the name of an event type: names with commas between them, such as "
                              "process,image", word, text)};
    }
    words.emplace_back(word);
    start = comma + 1;
  }
  return {std::move(words), {}};
}

parsed<source_choice> parse_source(std::string_view text) {
  if (text == "live") return {source_choice{source_kind::live, {}}, {}};
  if (text == "synthetic") return {source_choice{source_kind::synthetic, {}}, {}};
  for (const auto& [prefix, kind] : {std::pair<std::string_view, source_kind>{"file:", source_kind::file}, {"replay:", source_kind::replay}, {"image:", source_kind::image}}) {
    if (text.substr(0, prefix.size()) != prefix) continue;
    const std::string path(text.substr(prefix.size()));
    if (path.empty()) return {{}, fmt::format("'{}' names no file", text)};
    return {source_choice{kind, path}, {}};
  }
  return {{}, fmt::format("'{}' is not a source: live, synthetic, replay:FILE, file:FILE, image:FILE", text)};
}

parsed<double> parse_speed(std::string_view text) {
  if (text == "max") return {0.0, {}};
  const char* const end = text.data() + text.size();
  double number = 0;
  const auto [rest, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (error == std::errc() && rest == end && number >= 0.001 && number <= 1e6) return {number, {}};
  return {{}, fmt::format("'{}' is not a speed: a factor such as 1, 10 or 0.5 (0.001 to 1000000), or max", text)};
}

parsed<order_choice> parse_order(std::string_view text) {
  constexpr std::string_view bounded = "bounded:";
  if (text == "strict") return {order_choice{}, {}};
  if (text.substr(0, bounded.size()) != bounded) {
    return {{},
            fmt::format("'{}' is not an order: strict, or bounded and how long to wait, such as bounded:5ms",
                        text)};
  }
  const parsed<duration_limit> bound = parse_duration(text.substr(bounded.size()));
  if (!bound.result) return {{}, bound.error};
  constexpr std::chrono::milliseconds longest_bound{5000};
  const duration_limit limit = *bound.result;
  if (!limit || *limit < std::chrono::milliseconds(1) || *limit > longest_bound ||
      limit->count() % 1'000'000 != 0) {
    return {{}, fmt::format("'{}': the bound is whole milliseconds, 1ms to 5s", text)};
  }
  return {order_choice{static_cast<uint32_t>(limit->count() / 1'000'000)}, {}};
}

parsed<moment> parse_moment(std::string_view text) {
  if (!text.empty() && text.front() == '+') {
    const parsed<duration_limit> distance = parse_duration(text.substr(1));
    if (!distance.result) return {{}, distance.error};
    const duration_limit limit = *distance.result;
    return {moment{true, limit ? static_cast<uint64_t>(limit->count() / 100) : 0}, {}};
  }
  if (const std::optional<uint64_t> utc = parse_iso8601(text)) return {moment{false, *utc}, {}};
  return {{},
          fmt::format("'{}' is not a moment: UTC such as 2026-11-21T04:30:00Z, or a distance from the first "
                      "record such as +10s",
                      text)};
}

parsed<output_format> parse_format(std::string_view text) {
  if (text == "text") return {output_format::text, {}};
  if (text == "jsonl") return {output_format::jsonl, {}};
  return {{}, fmt::format("'{}' is not a format: text or jsonl", text)};
}

parsed<transport> parse_transport(std::string_view text) {
  for (const transport each : {transport::automatic, transport::port, transport::ioctl, transport::mapping}) {
    if (text == name_of(each)) return {each, {}};
  }
  return {{}, fmt::format("'{}' is not a transport: automatic, port, ioctl or mapping", text)};
}

std::string show(duration_limit limit) {
  if (!limit) return "until stopped";
  const auto nanoseconds = limit->count();
  if (nanoseconds % 1'000'000'000 == 0) return fmt::format("{} s", nanoseconds / 1'000'000'000);
  return fmt::format("{:g} ms", static_cast<double>(nanoseconds) / 1e6);
}

}  // namespace sluice::tool
