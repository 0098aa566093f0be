#include "stress/account_check.h"

namespace sluice::stress {

cpu_account take_account(rig& on, uint32_t cpu, ring_reader<native_seam>* readers) {
  cpu_account result;
  rig::pin_to(cpu);
  kernel_rings& rings = on.channel.rings(cpu);
  kernel_rings::positions where{};
  for (bool settled = false; !settled;) {
    const dispatch_section section;
    if (section.cpu() != cpu) broken("simulation", cpu, "a pinned thread is on CPU {}", section.cpu());
    settled = rings.settle();
    if (!settled) continue;
    where = rings.where();
    result.violations = rings.violations();
    for (uint32_t type = 0; type < max_record_types; ++type) {
      result.rows[type] = rings.row(type);
      result.attempted_truth[type] = on.truth[cpu].attempted_of[type];
    }
  }
  for (uint32_t type = 0; type < max_record_types; ++type) result.before_cursor[type] = result.rows[type].committed;
  for (uint32_t lane = 0; lane < lanes_per_cpu; ++lane) {
    uint32_t position = where.reclaimed[lane];
    const uint32_t cursor = static_cast<uint32_t>(readers[lane].cursor());
    const uint32_t ahead = cursor - where.reclaimed[lane];
    const bool sound = readers[lane].walk(where.reclaimed[lane], where.written[lane], [&](uint16_t type, const ring_head& head) {
      account_row& row = result.rows[type % max_record_types];
      switch (head.state) {
        case head_state::committed:
          ++row.committed;
          if (position - where.reclaimed[lane] < ahead) ++result.before_cursor[type % max_record_types];
          break;
        case head_state::discarded: ++row.discarded; break;
        default: ++row.open; break;
      }
      position += record_stride(head.length);
    });
    if (!sound) broken("R1", cpu, "lane {}: the walk from {:#x} to {:#x} met something that is no record", lane,
                       where.reclaimed[lane], where.written[lane]);
  }
  return result;
}

void check_running_account(const rig&, uint32_t cpu, const cpu_account& now, cpu_account& last, const checker& seen,
                           uint32_t outstanding) {
  if (now.violations != 0) broken("R5", cpu, "the ring counts {} violations; this consumer is honest", now.violations);
  for (uint32_t type = 0; type < max_record_types; ++type) {
    const account_row& row = now.rows[type];
    if (!row.balances()) {
      broken("R3", cpu, "{}: attempted {}, but committed {}, discarded {}, open {}, dropped {}", name_of_type(type),
             row.attempted, row.committed, row.discarded, row.open, row.dropped_total());
    }
    if (is_section_type(type) && row.attempted != now.attempted_truth[type]) {
      broken("R3", cpu, "{}: the ledger says {} attempts; there were {}", name_of_type(type), row.attempted,
             now.attempted_truth[type]);
    }
    const account_row& before = last.rows[type];
    if (row.attempted < before.attempted || row.committed < before.committed || row.discarded < before.discarded ||
        row.dropped_total() < before.dropped_total()) {
      broken("R3", cpu, "{}: a count has gone back", name_of_type(type));
    }
    const uint64_t received = seen.received(cpu, type);
    if (received > now.before_cursor[type] || now.before_cursor[type] - received > outstanding) {
      broken("R3", cpu, "{}: {} committed records lie before the cursor; {} were received, {} are set aside",
             name_of_type(type), now.before_cursor[type], received, outstanding);
    }
  }
  last = now;
}

}  // namespace sluice::stress
