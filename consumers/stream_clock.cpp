#include "consumers/stream_clock.h"

#include <fmt/format.h>

#include <chrono>
#include <limits>

namespace sluice {
namespace {

__extension__ using int128 = __int128;
__extension__ using uint128 = unsigned __int128;

constexpr uint64_t utc_units_per_second = 10'000'000;
constexpr uint64_t utc_units_per_day = 86'400 * utc_units_per_second;
constexpr int64_t days_to_1601 = 134'774;  // from 1601-01-01 to 1970-01-01
// The first moment of the year 10000.
constexpr uint64_t end_of_utc = 3'067'671 * utc_units_per_day;

}  // namespace

uint64_t scale_ticks(uint64_t ticks, uint64_t units_per_second, uint64_t frequency) {
  const uint128 scaled = static_cast<uint128>(ticks) * units_per_second / frequency;
  constexpr uint64_t most = std::numeric_limits<uint64_t>::max();
  return scaled > most ? most : static_cast<uint64_t>(scaled);
}

std::optional<uint64_t> stream_clock::utc(uint64_t ticks) const {
  if (!anchor_ || anchor_->frequency == 0) return std::nullopt;
  const int128 scaled =
      (static_cast<int128>(ticks) - static_cast<int128>(anchor_->counter)) * utc_units_per_second;
  const int128 frequency = anchor_->frequency;
  int128 offset = scaled / frequency;
  if (scaled % frequency < 0) --offset;
  const int128 utc = static_cast<int128>(anchor_->utc) + offset;
  if (utc < 0 || utc >= static_cast<int128>(end_of_utc)) return std::nullopt;
  return static_cast<uint64_t>(utc);
}

std::optional<uint64_t> stream_clock::nanoseconds(uint64_t ticks) const {
  if (frequency() == 0) return std::nullopt;
  return scale_ticks(ticks, 1'000'000'000, frequency());
}

std::string iso8601(uint64_t utc) {
  if (utc >= end_of_utc) return {};
  const auto days = std::chrono::days(static_cast<int64_t>(utc / utc_units_per_day) - days_to_1601);
  const std::chrono::year_month_day date{std::chrono::sys_days(days)};
  const uint64_t of_day = utc % utc_units_per_day;
  const uint64_t seconds = of_day / utc_units_per_second;
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:07}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), seconds / 3600,
                     seconds / 60 % 60, seconds % 60, of_day % utc_units_per_second);
}

std::optional<uint64_t> parse_iso8601(std::string_view text) {
  // Digits stand where the pattern has 0; then ".digits" or nothing, then Z.
  constexpr std::string_view pattern = "0000-00-00T00:00:00";
  if (text.size() < pattern.size() + 1 || text.back() != 'Z') return std::nullopt;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (pattern[i] == '0' ? !digit : text[i] != pattern[i]) return std::nullopt;
  }
  const auto number = [&](size_t at, size_t digits) {
    uint32_t value = 0;
    for (size_t i = at; i < at + digits; ++i) value = value * 10 + static_cast<uint32_t>(text[i] - '0');
    return value;
  };
  std::string_view fraction = text.substr(pattern.size(), text.size() - pattern.size() - 1);
  uint64_t units = 0;
  if (!fraction.empty()) {
    if (fraction.front() != '.' || fraction.size() < 2 || fraction.size() > 8) return std::nullopt;
    for (size_t i = 1; i <= 7; ++i) {
      const char c = i < fraction.size() ? fraction[i] : '0';
      if (c < '0' || c > '9') return std::nullopt;
      units = units * 10 + static_cast<uint64_t>(c - '0');
    }
  }
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(number(0, 4))),
                                         std::chrono::month(number(5, 2)), std::chrono::day(number(8, 2))};
  const uint32_t hour = number(11, 2), minute = number(14, 2), second = number(17, 2);
  if (!date.ok() || date.year() < std::chrono::year(1601) || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count() + days_to_1601;
  return static_cast<uint64_t>(days) * utc_units_per_day +
         (uint64_t{hour} * 3600 + minute * 60 + second) * utc_units_per_second + units;
}

}  // namespace sluice
