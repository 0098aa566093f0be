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

}  // namespace sluice
