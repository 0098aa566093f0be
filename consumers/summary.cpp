#include "consumers/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>

namespace sluice {
namespace {

std::string duration_text(uint64_t nanoseconds) {
  const double ns = static_cast<double>(nanoseconds);
  if (nanoseconds < 10'000) return fmt::format("{} ns", nanoseconds);
  if (nanoseconds < 10'000'000) return fmt::format("{:.1f} us", ns / 1e3);
  if (nanoseconds < 10'000'000'000) return fmt::format("{:.1f} ms", ns / 1e6);
  return fmt::format("{:.1f} s", ns / 1e9);
}

// The rows of one type, of every CPU.
struct type_row {
  account_row account{};
  uint64_t filtered[filter_reason_count] = {};

  void add(const account_row& to_account, const uint64_t (&to_filtered)[filter_reason_count]) {
    account.add(to_account);
    for (uint32_t i = 0; i < filter_reason_count; ++i) filtered[i] += to_filtered[i];
  }
  uint64_t filtered_total() const {
    uint64_t sum = 0;
    for (const uint64_t n : filtered) sum += n;
    return sum;
  }
};

template <class reason, size_t count>
void add_reasons(std::string& reasons, const uint64_t (&of)[count]) {
  for (uint32_t i = 0; i < count; ++i) {
    if (of[i] == 0) continue;
    reasons += fmt::format("{}{} {}", reasons.empty() ? "  " : ", ", name_of(static_cast<reason>(i)), of[i]);
  }
}

std::string reasons_of(const type_row& row) {
  std::string reasons;
  add_reasons<drop_reason>(reasons, row.account.dropped);
  add_reasons<filter_reason>(reasons, row.filtered);
  return reasons;
}

}  // namespace

std::string summarize(const summary_input& input) {
  const accounting& account = input.stream.account();
  std::map<uint16_t, type_row> types;
  for (const protocol::statistics_row& row : input.driver.rows) types[row.type].add(row.account, row.filtered);
  for (uint16_t type = 0; type < max_record_types; ++type) {
    if (account.received_of(type) != 0) types.try_emplace(type);
  }

  std::string out;
  const auto append = std::back_inserter(out);
  type_row all;
  for (const auto& [type, row] : types) all.add(row.account, row.filtered);
  const bool driver_is_silent = input.incomparable && input.driver.rows.empty();
  const auto line = [&](const std::string& name, const type_row& row, uint64_t delivered) {
    if (driver_is_silent) {
      fmt::format_to(append, "{:<18}{:>12}\n", name, delivered);
    } else {
      const account_row& account_of_row = row.account;
      fmt::format_to(append, "{:<18}{:>12}{:>12}{:>12}{:>12}{:>12}{:>8}{}\n", name, account_of_row.attempted, delivered,
                     account_of_row.discarded, account_of_row.dropped_total(), row.filtered_total(), account_of_row.open,
                     reasons_of(row));
    }
  };
  if (driver_is_silent) {
    fmt::format_to(append, "{:<18}{:>12}\n", "type", "delivered");
  } else {
    fmt::format_to(append, "{:<18}{:>12}{:>12}{:>12}{:>12}{:>12}{:>8}\n", "type", "attempted", "delivered", "discarded",
                   "dropped", "filtered", "open");
  }
  for (const auto& [type, row] : types) line(input.stream.names().name_of(type), row, account.received_of(type));
  line("all", all, account.received_records());

  const double seconds = std::max(std::chrono::duration<double>(input.duration).count(), 1e-9);
  fmt::format_to(append, "rate: {:.0f} records/s over {:.2f} s, in {} batches\n",
                 static_cast<double>(account.received_records()) / seconds, seconds, input.stream.batches());
  const latency_histogram& latency = account.latency();
  if (latency.count() != 0) {
    fmt::format_to(append, "latency: p50 {}, p90 {}, p99 {}, p99.9 {}, max {}\n", duration_text(latency.percentile(0.5)),
                   duration_text(latency.percentile(0.9)), duration_text(latency.percentile(0.99)),
                   duration_text(latency.percentile(0.999)), duration_text(latency.max()));
  }
  fmt::format_to(append, "announced as lost: {}; late: {}; overdue: {}; met a type switched off: {}\n",
                 account.announced_events(), account.late_records(), input.driver.header.overdue_records,
                 input.driver.header.switched_off);
  if (const uint64_t missed = account.overwritten_events(); missed != 0) {
    fmt::format_to(append, "overwritten before they were read, and announced so: {}\n", missed);
  }
  if (const uint64_t missed = account.missed_events(); missed != 0) {
    fmt::format_to(append, "missed by this client alone, and announced so: {}\n", missed);
  }
  if (all.account.open != 0) {
    fmt::format_to(append, "{} reservations were still open at the end\n", all.account.open);
  }

  if (input.incomparable) fmt::format_to(append, "the accounts were not compared: {}\n", *input.incomparable);
  if (input.broken.empty() && !input.incomparable) {
    out += "R3 holds: every event attempted was delivered, discarded, announced as lost, filtered, or is open\n";
  } else {
    constexpr size_t shown = 20;
    for (size_t i = 0; i < std::min(shown, input.broken.size()); ++i) out += input.broken[i] + "\n";
    if (input.broken.size() > shown) fmt::format_to(append, "... and {} more\n", input.broken.size() - shown);
  }
  return out;
}

}  // namespace sluice
