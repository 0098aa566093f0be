#include "consumers/tool/simulate_report.h"

#include <fmt/format.h>

#include <cstring>
#include <iterator>
#include <map>

namespace sluice::tool {
namespace {

struct type_sum {
  account_row account{};
  uint64_t filtered = 0;
};

struct client_rows {
  protocol::clients_header header{};
  std::vector<protocol::client_row> rows;
};

// As the driver wrote it, in this process.
client_rows read_clients(const std::vector<uint8_t>& bytes) {
  client_rows clients;
  if (bytes.size() < sizeof clients.header) return clients;
  std::memcpy(&clients.header, bytes.data(), sizeof clients.header);
  clients.rows.resize((bytes.size() - sizeof clients.header) / sizeof(protocol::client_row));
  if (!clients.rows.empty()) {
    std::memcpy(clients.rows.data(), bytes.data() + sizeof clients.header, clients.rows.size() * sizeof(protocol::client_row));
  }
  return clients;
}

std::string shown_type(const type_names& names, uint16_t type) {
  if (type < first_event_type) return fmt::format("{}", name_of_type(type));
  return names.show(bit_of(type));
}

}  // namespace

std::vector<std::string> find_broken(const simulate_account& account) {
  std::vector<std::string> broken;
  std::map<uint16_t, uint64_t> attempted;
  for (const protocol::statistics_row& row : account.driver.rows) {
    attempted[row.type] += row.account.attempted;
    if (row.balances()) continue;
    broken.push_back(fmt::format("R3 BROKEN: {} on cpu {}: attempted {} is not committed {} + discarded {} + dropped {} + filtered "
                                 "{} + open {}",
                                 shown_type(account.names, row.type), row.cpu, row.account.attempted, row.account.committed,
                                 row.account.discarded, row.account.dropped_total(), row.filtered_total(), row.account.open));
  }
  if (account.raised) {
    // Which types were on is the clients' choice: all that the kernel raised met the driver, on or off.
    uint64_t raised = 0, met = account.driver.header.switched_off;
    for (const auto& [type, count] : account.raised->by_type) {
      raised += count;
      met += attempted[type];
    }
    if (raised != met) {
      broken.push_back(fmt::format("R3 BROKEN: the kernel raised {} callbacks, and {} were attempted or met a type switched off",
                                   raised, met));
    }
  }
  const client_rows clients = read_clients(account.clients);
  for (const protocol::client_row& row : clients.rows) {
    if (row.offered == row.delivered + row.lost + row.waiting) continue;
    broken.push_back(fmt::format("BROKEN: the account of the client {}", std::string(row.name, strnlen(row.name, sizeof row.name))));
  }
  const protocol::clients_header& gone = clients.header;
  if (gone.gone_offered != gone.gone_delivered + gone.gone_lost + gone.gone_undelivered) {
    broken.push_back("BROKEN: the account of the clients that have left");
  }
  return broken;
}

std::string report(const simulate_account& account, const std::vector<std::string>& broken) {
  std::string out;
  const auto append = std::back_inserter(out);
  std::map<uint16_t, type_sum> types;
  type_sum all;
  for (const protocol::statistics_row& row : account.driver.rows) {
    for (type_sum* each : {&types[row.type], &all}) {
      each->account.add(row.account);
      each->filtered += row.filtered_total();
    }
  }
  fmt::format_to(append, "{:<24}{:>12}{:>12}{:>12}{:>12}{:>12}{:>8}\n", "type", "attempted", "committed", "discarded", "dropped",
                 "filtered", "open");
  const auto line = [&](const std::string& name, const type_sum& sum) {
    fmt::format_to(append, "{:<24}{:>12}{:>12}{:>12}{:>12}{:>12}{:>8}\n", name, sum.account.attempted, sum.account.committed,
                   sum.account.discarded, sum.account.dropped_total(), sum.filtered, sum.account.open);
  };
  for (const auto& [type, sum] : types) line(shown_type(account.names, type), sum);
  line("all", all);
  fmt::format_to(append, "met a type switched off: {}; late: {}; overdue: {}; refused claims of a consumer: {}\n",
                 account.driver.header.switched_off, account.driver.header.late_records, account.driver.header.overdue_records,
                 account.driver.header.violations);
  const client_rows clients = read_clients(account.clients);
  if (account.clients.size() < sizeof clients.header) out += "clients: not known, the driver did not answer\n";
  for (const protocol::client_row& row : clients.rows) {
    fmt::format_to(append, "client {} (process {}): offered {}, delivered {}, lost {}, waiting {}\n",
                   std::string(row.name, strnlen(row.name, sizeof row.name)), row.pid, row.offered, row.delivered, row.lost,
                   row.waiting);
  }
  if (clients.header.gone_clients != 0) {
    fmt::format_to(append, "{} clients that have left: offered {}, delivered {}, lost {}, not taken {}\n",
                   clients.header.gone_clients, clients.header.gone_offered, clients.header.gone_delivered,
                   clients.header.gone_lost, clients.header.gone_undelivered);
  }
  if (broken.empty()) {
    out += "R3 holds: every event attempted was committed, discarded, dropped, filtered, or is open\n";
  }
  for (const std::string& each : broken) out += each + "\n";
  return out;
}

}  // namespace sluice::tool
