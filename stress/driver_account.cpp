#include "stress/driver_account.h"

#include <cstring>

#include "stress/report.h"

namespace sluice::stress {

statistics_reader::statistics_reader(sim::machine& machine, size_t room) : buffer_(room) {
  if (!NT_SUCCESS(file_.open(machine, u"Sluice", 4001))) broken("set-up", no_cpu, "opening the device failed");
}

std::vector<protocol::statistics_row> statistics_reader::take(protocol::statistics_header& header) {
  uint64_t bytes = 0;
  const NTSTATUS status = file_.control(protocol::code_statistics, {}, buffer_, bytes);
  if (status != STATUS_SUCCESS) broken("device", no_cpu, "statistics gave {:#x}", static_cast<uint32_t>(status));
  std::memcpy(&header, buffer_.data(), sizeof header);
  std::vector<protocol::statistics_row> rows(header.row_count);
  if (!rows.empty()) std::memcpy(rows.data(), buffer_.data() + sizeof header, rows.size() * sizeof rows[0]);
  for (const protocol::statistics_row& row : rows) {
    const account_row& a = row.account;
    if (!row.balances()) {
      broken("R3", row.cpu, "type {}: attempted {}, but committed {}, discarded {}, open {}, dropped {}, filtered {}",
             row.type, a.attempted, a.committed, a.discarded, a.open, a.dropped_total(), row.filtered_total());
    }
    account_row& before = last_[row.cpu * max_record_types + row.type];
    if (a.attempted < before.attempted || a.committed < before.committed || a.discarded < before.discarded ||
        a.dropped_total() < before.dropped_total()) {
      broken("R3", row.cpu, "type {}: a count has gone back", row.type);
    }
    before = a;
  }
  if (header.violations != 0) broken("R5", no_cpu, "{} violations; the worker is honest", header.violations);
  ++taken_;
  return rows;
}

void check_all(const std::vector<protocol::statistics_row>& rows, const driver_client& client, const own_tally& own,
               bool announces_too_much, uint64_t sometimes_off, account_row& sum) {
  account_row of_type[max_record_types] = {};
  uint64_t told[max_record_types] = {};
  for (const protocol::statistics_row& row : rows) {
    const account_row& a = row.account;
    of_type[row.type].add(a);
    sum.add(a);
    if (a.open != 0) broken("R3", row.cpu, "type {}: {} are open at rest", row.type, a.open);
    const uint64_t received = client.received(row.cpu, row.type), overwritten = client.overwritten(row.cpu, row.type);
    told[row.type] += received + overwritten;
    const bool told_too_much = announces_too_much && received + overwritten > a.committed;
    if (told_too_much) told[row.type] -= received + overwritten - a.committed;
    if (a.committed != received + overwritten && client.lost(row.type) == 0 && !told_too_much) {  // O3
      broken("R3", row.cpu, "type {}: committed {}, received {}, announced as overwritten {}", row.type, a.committed, received,
             overwritten);
    }
    if (overwritten > a.overwritten && !told_too_much) {
      broken("O3", row.cpu, "type {}: overwritten {}, announced as such {}", row.type, a.overwritten, overwritten);
    }
    if (a.dropped_total() != client.announced(row.cpu, row.type) && client.lost(record_type_loss) == 0) {
      broken("R4", row.cpu, "type {}: dropped {}, announced {}", row.type, a.dropped_total(),
             client.announced(row.cpu, row.type));
    }
  }
  for (uint32_t type = 0; type < max_record_types; ++type) {
    if (of_type[type].committed == told[type] + client.lost(type)) continue;
    broken("R3", no_cpu, "type {}: committed {}, received {}, lost to this reader alone {}", type, of_type[type].committed, told[type],
           client.lost(type));
  }
  const sim::raised_counts raised = sim::raised();
  const auto same = [&](uint16_t type, uint64_t expected) {
    const bool off = (sometimes_off >> type & 1) != 0;
    if (off ? of_type[type].attempted > expected : of_type[type].attempted != expected) {
      broken("R3", no_cpu, "type {}: {} attempted, {} raised", type, of_type[type].attempted, expected);
    }
  };
  same(event_type_process_create, raised.process_create);
  same(event_type_process_exit, raised.process_exit);
  same(event_type_thread_create, raised.thread_create);
  same(event_type_thread_exit, raised.thread_exit);
  same(event_type_image_load, raised.image_load);
  same(event_type_registry_create_key, raised.registry_create_key);
  same(event_type_registry_set_value, raised.registry_set_value);
  same(event_type_registry_delete_key, raised.registry_delete_key);
  same(event_type_registry_delete_value, raised.registry_delete_value);
  same(event_type_registry_rename_key, raised.registry_rename_key);
  same(own.type, own.attempted);
  if (of_type[own.type].committed != own.kept || of_type[own.type].discarded != own.discarded) {
    broken("R3", no_cpu, "own events: {} committed and {} discarded; their writers say {} and {}",
           of_type[own.type].committed, of_type[own.type].discarded, own.kept, own.discarded);
  }
}

}  // namespace sluice::stress
