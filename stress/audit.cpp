#include "stress/audit.h"

namespace sluice::stress {
namespace {

// One type on one CPU, or a wandering type on all.
struct line {
  account_row ledger{};
  tally_row told{};
  uint64_t open = 0;
  uint64_t received = 0;
  uint64_t announced = 0;
  uint64_t figures = 0;
};

void check_line(uint32_t cpu, uint32_t type, const line& of) {
  const auto same = [&](const char* what, uint64_t ledger, uint64_t expected, const char* source) {
    if (ledger != expected) {
      broken("R3", cpu, "{}: {} is {} in the ledger and the rings, {} by {}", name_of_type(type), what, ledger, expected,
             source);
    }
  };
  same("attempted", of.ledger.attempted, of.told.attempted, "the writers");
  same("committed", of.ledger.committed, of.told.kept - of.open, "the writers");
  same("committed", of.ledger.committed, of.received, "the consumer");
  same("discarded", of.ledger.discarded, of.told.discarded, "the writers");
  same("open", of.ledger.open, of.open, "the writers");
  const bool critical = is_critical_type(type);
  const auto dropped = [&](drop_reason reason) { return of.ledger.dropped[static_cast<uint32_t>(reason)]; };
  same("dropped (ring full)", dropped(drop_reason::ring_full), critical ? 0 : of.told.dropped, "the writers");
  same("dropped (critical full)", dropped(drop_reason::critical_full), critical ? of.told.dropped : 0, "the writers");
  same("dropped (too long)", dropped(drop_reason::too_long), of.told.too_long, "the writers");
  same("dropped (violation)", dropped(drop_reason::violation), 0, "the consumer, which is honest");
  if (of.announced != of.told.dropped + of.told.too_long) {
    broken("R4", cpu, "{}: {} events were dropped; LOSS records announce {}", name_of_type(type),
           of.told.dropped + of.told.too_long, of.announced);
  }
  if (of.figures != of.told.dropped + of.told.too_long) {
    broken("R4", cpu, "{}: {} events were dropped; the published figures say {}", name_of_type(type),
           of.told.dropped + of.told.too_long, of.figures);
  }
}

loss_summary figures_of(rig& on, uint32_t cpu) {
  loss_summary figures;
  if (!read_loss_figures(on.channel.region(cpu, lane_main).producer->loss, figures)) {
    broken("R4", cpu, "at rest, the published figures are being written");
  }
  return figures;
}

void check_figures(uint32_t cpu, const loss_summary& figures, const checker& seen) {
  if (figures.events != seen.announced_events(cpu)) {
    broken("R4", cpu, "the published figures say {} events, LOSS records {}", figures.events, seen.announced_events(cpu));
  }
  if (figures.bytes != seen.announced_bytes(cpu)) {
    broken("R4", cpu, "the published figures say {} bytes, LOSS records {}", figures.bytes, seen.announced_bytes(cpu));
  }
}

}  // namespace

void check_at_rest(rig& on, const expectation& expected, const std::vector<cpu_account>& taken, const checker& seen) {
  const uint32_t cpus = on.options.cpus;
  line wandering[max_record_types];
  uint64_t told_bytes = 0;
  uint64_t figure_bytes = 0;
  bool any_open = false;
  for (uint32_t cpu = 0; cpu < cpus; ++cpu) {
    const loss_summary figures = figures_of(on, cpu);
    check_figures(cpu, figures, seen);
    figure_bytes += figures.bytes;
    for (uint32_t type = event_type::first; type <= event_type::last; ++type) {
      line of;
      of.ledger = taken[cpu].rows[type];
      of.told = expected.all.row(cpu, type);
      of.open = expected.still_open[cpu * max_record_types + type].kept;
      of.received = seen.received(cpu, type);
      of.announced = seen.announced(cpu, type);
      of.figures = figures.dropped[type];
      told_bytes += of.told.dropped_bytes;
      any_open |= of.open != 0;
      if (is_section_type(type) || is_free_type(type)) {
        check_line(cpu, type, of);
      } else {
        wandering[type].ledger.add(of.ledger);
        wandering[type].received += of.received;
        wandering[type].announced += of.announced;
        wandering[type].figures += of.figures;
      }
    }
    const account_row& losses = taken[cpu].rows[record_type_loss];
    if (losses.attempted != losses.committed || losses.committed != seen.received(cpu, record_type_loss)) {
      broken("R3", cpu, "LOSS: {} attempted, {} committed, {} received", losses.attempted, losses.committed,
             seen.received(cpu, record_type_loss));
    }
  }
  for (uint32_t type = event_type::wandering; type <= event_type::wandering_critical; ++type) {
    wandering[type].told = expected.all.row(unknown_cpu, type);
    told_bytes += wandering[type].told.dropped_bytes;
    check_line(no_cpu, type, wandering[type]);
  }
  if (told_bytes != figure_bytes) {
    broken("R4", no_cpu, "{} bytes were refused; the published figures say {}", told_bytes, figure_bytes);
  }
  if (!any_open) seen.check_complete(expected.sequences);
}

}  // namespace sluice::stress
