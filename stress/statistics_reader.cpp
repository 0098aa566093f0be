#include "stress/statistics_reader.h"

#include <cstring>

#include "stress/report.h"

namespace sluice::stress {

statistics_reader::statistics_reader(sim::machine& machine) : buffer_(4 << 20) {
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

}  // namespace sluice::stress
