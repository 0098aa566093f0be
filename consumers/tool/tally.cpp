#include "consumers/tool/tally.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::tool {
namespace {

constexpr uint64_t second = 10'000'000;  // 100 ns units

}  // namespace

void tally::add(const decoded_event& event, const stream_clock& clock) {
  ++by_type_[event.type];
  ++by_cpu_[event.identity.cpu];
  const std::optional<uint64_t> utc = clock.utc(event.time);
  if (!utc) return;
  first_ = first_ ? std::min(*first_, *utc) : *utc;
  last_ = last_ ? std::max(*last_, *utc) : *utc;
  if (*utc / second != second_) {
    second_ = *utc / second;
    in_second_ = 0;
  }
  if (++in_second_ > busiest_) {
    busiest_ = in_second_;
    busiest_second_ = second_;
  }
}

void tally::print(const decoder& names) const {
  if (first_) {
    const uint64_t span = *last_ - *first_;
    fmt::print("time: {} to {} ({:.3f} s)\n", iso8601(*first_), iso8601(*last_), static_cast<double>(span) / second);
    uint64_t records = 0;
    for (const auto& [cpu, count] : by_cpu_) records += count;
    fmt::print("rate: {:.1f} records/s; busiest second: {} records, at {}\n",
               static_cast<double>(records) * second / static_cast<double>(std::max<uint64_t>(span, 1)), busiest_,
               iso8601(busiest_second_ * second));
  }
  fmt::print("{:<24}{:>12}\n", "type", "records");
  for (const auto& [type, count] : by_type_) fmt::print("{:<24}{:>12}\n", names.name_of(type), count);
  fmt::print("{:<24}{:>12}\n", "cpu", "records");
  for (const auto& [cpu, count] : by_cpu_) fmt::print("{:<24}{:>12}\n", cpu, count);
}

}  // namespace sluice::tool
