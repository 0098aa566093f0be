#include "consumers/accounting.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "consumers/stream_clock.h"

namespace sluice {
namespace {

std::string type_name(uint16_t type) {
  const std::string_view name = name_of_type(type);
  return name.empty() ? fmt::format("type_{}", type) : std::string(name);
}

}  // namespace

arrival accounting::received(const delivered_record& record, uint64_t now, uint64_t frequency) {
  if (!record.figures && !record.of_stream && !record.client_loss) ++stream_records_;
  if (record.of_stream && record.type == record_type_overdue) ++overdue_of_stream_;
  if (record.overwritten && record.late) ++late_records_;
  // not a record of a ring
  if (record.figures || record.of_stream || record.overwritten || record.client_loss) return arrival::in_order;
  const arrival how = identities_.note(record.identity, record_header_size + record.payload_length, record.late);
  if (how == arrival::duplicate) {
    ++duplicates_;
    return how;
  }
  ++received_records_;
  ++received_[key(record.identity.cpu, record.type)];
  if (record.late) {
    ++late_records_;
  } else {
    if (record.time < newest_time_ || how == arrival::filled_gap) ++out_of_order_;
    newest_time_ = std::max(newest_time_, record.time);
  }
  if (frequency != 0) {
    // Counters may differ by a tick between CPUs: a record from the next tick has waited for nothing.
    latency_.add(now > record.time ? scale_ticks(now - record.time, 1'000'000'000, frequency) : 0);
  }
  return how;
}

void accounting::announced(uint16_t cpu, const loss_event& loss) {
  for (const loss_entry& entry : loss.by_type()) {
    if (loss.by_client) {
      missed_[entry.type] += entry.events;
      continue;
    }
    if (loss.overwritten) {
      overwritten_[key(cpu, entry.type)] += entry.events;
      continue;
    }
    announcement_count& count = announced_[key(cpu, entry.type)];
    if (loss.since_load) {
      count.by_figures = std::max(count.by_figures, entry.events);
    } else {
      count.by_records += entry.events;
    }
  }
}

uint64_t accounting::received_of(uint16_t cpu, uint16_t type) const {
  const auto it = received_.find(key(cpu, type));
  return it == received_.end() ? 0 : it->second;
}

uint64_t accounting::received_of(uint16_t type) const {
  uint64_t sum = 0;
  for (const auto& [cpu_and_type, count] : received_) {
    if ((cpu_and_type & 0xffff) == type) sum += count;
  }
  return sum;
}

uint64_t accounting::announced_of(uint16_t cpu, uint16_t type) const {
  const auto it = announced_.find(key(cpu, type));
  return it == announced_.end() ? 0 : std::max(it->second.by_records, it->second.by_figures);
}

uint64_t accounting::announced_events() const {
  uint64_t sum = 0;
  for (const auto& [cpu_and_type, count] : announced_) sum += std::max(count.by_records, count.by_figures);
  return sum;
}

uint64_t accounting::overwritten_of(uint16_t cpu, uint16_t type) const {
  const auto it = overwritten_.find(key(cpu, type));
  return it == overwritten_.end() ? 0 : it->second;
}

uint64_t accounting::overwritten_events() const {
  uint64_t sum = 0;
  for (const auto& [cpu_and_type, count] : overwritten_) sum += count;
  return sum;
}

uint64_t accounting::missed_of(uint16_t type) const {
  const auto it = missed_.find(type);
  return it == missed_.end() ? 0 : it->second;
}

uint64_t accounting::missed_events() const {
  uint64_t sum = 0;
  for (const auto& [type, count] : missed_) sum += count;
  return sum;
}

bool accounting::drained(const driver_statistics& driver) const {
  std::map<uint16_t, uint64_t> left = missed_;  // what may still be missing, by type
  return std::all_of(driver.rows.begin(), driver.rows.end(), [&](const protocol::statistics_row& row) {
    const uint64_t told = received_of(row.cpu, row.type) + overwritten_of(row.cpu, row.type);
    const uint64_t missing = row.account.committed - std::min(row.account.committed, told);
    if (missing > left[row.type]) return false;
    left[row.type] -= missing;
    return row.account.open == 0 &&
           row.account.dropped_total() <= announced_of(row.cpu, row.type);
  });
}

std::vector<std::string> accounting::check(const driver_statistics& driver, const raised_callbacks* raised,
                                           uint64_t types) const {
  std::vector<std::string> broken;
  const bool selected = types != ~uint64_t{0};
  const auto compared = [&](uint32_t type) { return type >= 64 || (types >> type & 1) != 0; };
  const auto say = [&]<class... arguments>(fmt::format_string<arguments...> format, arguments&&... values) {
    broken.push_back(fmt::format(format, std::forward<arguments>(values)...));
  };

  std::set<uint32_t> rows;
  std::map<uint16_t, uint64_t> attempted;
  std::map<uint16_t, uint64_t> discarded;    // by CPU
  std::map<uint16_t, uint64_t> overwritten;  // by CPU
  std::map<uint16_t, uint64_t> missing;      // by type
  for (const protocol::statistics_row& row : driver.rows) {
    const account_row& account = row.account;
    const std::string where = fmt::format("{} on cpu {}", type_name(row.type), row.cpu);
    if (!rows.insert(key(row.cpu, row.type)).second) say("R3 BROKEN: {}: two rows of the driver's statistics", where);
    attempted[row.type] += account.attempted;
    discarded[row.cpu] += account.discarded;
    if (!row.balances()) {
      say("R3 BROKEN: {}: attempted {} is not committed {} + discarded {} + dropped {} + filtered {} + open {}", where,
          account.attempted, account.committed, account.discarded, account.dropped_total(), row.filtered_total(),
          account.open);
    }
    if (!compared(row.type)) continue;
    const uint64_t got = received_of(row.cpu, row.type);
    const uint64_t missed = overwritten_of(row.cpu, row.type);
    missing[row.type] += account.committed - std::min(account.committed, got + missed);
    if (got + missed > account.committed || (got + missed != account.committed && missed_of(row.type) == 0)) {
      say("R3 BROKEN: {}: committed {}, received {}{}", where, account.committed, got,
          missed == 0 ? std::string() : fmt::format(", announced as overwritten {}", missed));
    }
    if (missed > account.overwritten) {
      say("R4 BROKEN: {}: overwritten {}, announced so {}", where, account.overwritten, missed);
    }
    overwritten[row.cpu] += missed;
    if (const uint64_t told = announced_of(row.cpu, row.type); told != account.dropped_total()) {
      say("R4 BROKEN: {}: dropped {}, announced as lost {}", where, account.dropped_total(), told);
    }
  }
  for (const auto& [cpu_and_type, count] : received_) {
    if (rows.count(cpu_and_type) == 0 && compared(cpu_and_type & 0xffff)) {
      say("R3 BROKEN: {} on cpu {}: received {}, the driver counts none", type_name(cpu_and_type & 0xffff),
          cpu_and_type >> 16, count);
    }
  }
  for (const auto& [cpu_and_type, count] : announced_) {
    if (rows.count(cpu_and_type) == 0 && compared(cpu_and_type & 0xffff)) {
      say("R4 BROKEN: {} on cpu {}: announced as lost {}, the driver counts none", type_name(cpu_and_type & 0xffff),
          cpu_and_type >> 16, std::max(count.by_records, count.by_figures));
    }
  }

  for (const auto& [cpu_and_type, count] : overwritten_) {
    if (rows.count(cpu_and_type) == 0) {
      say("R4 BROKEN: {} on cpu {}: announced as overwritten {}, the driver counts none", type_name(cpu_and_type & 0xffff),
          cpu_and_type >> 16, count);
    }
  }

  for (const auto& [type, count] : missed_) {
    if (compared(type) && missing[type] != count) {
      say("R3 BROKEN: {}: {} of those committed did not come, told that this client missed {}", type_name(type),
          missing[type], count);
    }
  }

  if (raised != nullptr) {
    uint64_t not_attempted = 0;
    bool comparable = true;
    for (const auto& [type, count] : raised->by_type) {
      const uint64_t tried = attempted[type];
      const bool always_on = type < 64 && (raised->always_on >> type & 1) != 0;
      if (tried > count || (always_on && tried != count)) {
        say("R3 BROKEN: {}: callbacks raised {}, attempted {}", type_name(type), count, tried);
        comparable = false;
      } else {
        not_attempted += count - tried;
      }
    }
    if (comparable && not_attempted != driver.header.switched_off) {
      say("R3 BROKEN: {} callbacks led to no event, but {} met a type that was switched off", not_attempted,
          driver.header.switched_off);
    }
  }

  if (driver.header.violations != 0) say("R5 BROKEN: the driver refused {} claims of its reader", driver.header.violations);
  if (duplicates_ != 0) say("M2 BROKEN: {} records came twice", duplicates_);
  if (out_of_order_ != 0) say("M1 BROKEN: {} records out of order and not marked late", out_of_order_);
  // What was missed may have been late, and leaves gaps.
  const bool missed_some = !missed_.empty() || selected;
  if (missed_some ? late_records_ > driver.header.late_records : driver.header.late_records != late_records_) {
    say("M1 BROKEN: the driver counts {} late records, {} came marked so", driver.header.late_records, late_records_);
  }
  if (damaged_records_ != 0) say("DAMAGED: {} records could not be read", damaged_records_);
  for (const auto& [cpu, count] : discarded) {
    // Each empty place is a discarded record, which takes a header at least.
    const uint64_t bytes = identities_.gap_bytes(cpu);
    if (bytes != 0 && count == 0 && overwritten[cpu] == 0 && !missed_some) say("M2 BROKEN: cpu {}: {} bytes of its rings never came, nothing was discarded", cpu, bytes);
  }
  return broken;
}

}  // namespace sluice
