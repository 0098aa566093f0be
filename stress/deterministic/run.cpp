#include "stress/deterministic/run.h"

#include <deque>

#include <fmt/core.h>

#include "kernel_port/sim/scheduled_thread.h"
#include "stress/deterministic/access_point.h"
#include "stress/deterministic/disturber.h"
#include "stress/deterministic/port_reader.h"
#include "stress/report.h"

namespace sluice::stress {
namespace {

constexpr uint64_t most_points = 20'000'000;
constexpr std::chrono::seconds long_enough{100};  // of the machine's time

sensor* loaded = nullptr;

VOID unload(PDRIVER_OBJECT) {
  sensor::destroy(loaded);
  loaded = nullptr;
}

NTSTATUS driver_entry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path) {
  driver->DriverUnload = &unload;
  return sensor::create(driver, registry_path, loaded);
}

bool is_empty(const sim::machine::usage& use) {
  return use.pool_blocks == 0 && use.system_threads == 0 && use.timers == 0 && use.notify_routines == 0 && use.devices == 0 &&
         use.symbolic_links == 0 && use.filters == 0 && use.filter_connections == 0 && use.callbacks == 0 && use.user_mappings == 0;
}

// The first DriverEntry may meet a call that fails: either it does without, or it leaves nothing behind.
void load(sim::machine& machine, const run_plan& plan) {
  if (plan.at_start) machine.fail_call(plan.at_start->kind, plan.at_start->nth);
  NTSTATUS status = machine.load_driver("Sluice", &driver_entry);
  if (plan.at_start) machine.fail_call(plan.at_start->kind, 0);
  if (NT_SUCCESS(status)) return;
  if (!plan.at_start) broken("set-up", no_cpu, "DriverEntry gave {:#x}", static_cast<uint32_t>(status));
  if (loaded != nullptr || !is_empty(machine.in_use())) broken("DriverEntry", no_cpu, "it failed ({:#x}), and left something behind", static_cast<uint32_t>(status));
  status = machine.load_driver("Sluice", &driver_entry);
  if (!NT_SUCCESS(status)) broken("set-up", no_cpu, "the second DriverEntry gave {:#x}", static_cast<uint32_t>(status));
}

// W1: with every record closed and the clock running, a read that pends gets what there is, and nobody has to help.
void expect_all_by_itself(const run_plan& plan, driver_client& client, statistics_reader& statistics) {
  protocol::statistics_header header{};
  const auto end = sim::the_scheduler.now() + long_enough;
  for (;;) {
    (void)client.read(long_enough);
    const std::vector<protocol::statistics_row> rows = statistics.take(header);
    uint64_t committed = 0, known = client.lost();
    for (const protocol::statistics_row& row : rows) {
      committed += row.account.committed;
      known += client.received(row.cpu, row.type) + client.overwritten(row.cpu, row.type);
    }
    // O3: what was set aside, overwritten and discarded may have been announced as an event.
    if (known == committed || (header.overdue_records != 0 && plan.mode == ring_mode::overwrite && known > committed)) return;
    if (sim::the_scheduler.now() >= end) {
      broken("W1", no_cpu, "{} records are committed, of {} is known; a read pends, and nothing comes", committed, known);
    }
  }
}

void run_clients(sim::machine& machine, const run_plan& plan, bool trace, run_result& result) {
  sim::turns& turns = sim::the_scheduler.the_turns();
  static const filler from(4096);
  driver_client client(machine, plan.all_cpus(), plan.activities * writers_per_activity, from);
  client.set_observer([&turns, trace](const batch_entry& entry, const record_header& record) {
    if (trace) {
      fmt::print("{:24} read: CPU {}, lane {}, position {:#x}, type {}, time {}, flags {:#x}\n", "", entry.cpu, entry.lane, entry.position,
                 record.type, time_of(record), entry.flags);
    }
    turns.note(entry.position << 8 | entry.cpu);
    turns.note(time_of(record) ^ uint64_t{record.type} << 48 ^ uint64_t{entry.flags} << 56);
  });
  statistics_reader statistics(machine, 256 << 10);
  static constexpr field_declaration fields[] = {SLUICE_FIELD(event_head, writer, field_kind::unsigned_integer),
                                                 SLUICE_FIELD(event_head, sequence, field_kind::unsigned_integer)};
  uint16_t own_type = 0;
  const NTSTATUS registered = loaded->types().register_type({"stress", 1, fields, 2}, own_type);
  if (!NT_SUCCESS(registered)) broken("set-up", no_cpu, "register_type gave {:#x}", static_cast<uint32_t>(registered));
  client.set_own_type(own_type);
  (void)client.read(std::chrono::milliseconds(0));  // before other clients, so that nothing of the stream is theirs alone
  if (plan.later) machine.fail_call(plan.later->kind, plan.later->nth);
  if (plan.later && plan.later->kind == sim::machine::failure::pool_allocation) client.allow_missing_content();

  std::deque<deterministic_activity> activities;
  for (uint32_t i = 0; i < plan.activities; ++i) activities.emplace_back(machine, plan, from, i, loaded->events(), own_type);
  std::atomic<bool> stop{false}, readers_stop{false};
  std::deque<port_reader> port_readers;
  for (uint32_t i = 0; i < plan.port_clients; ++i) port_readers.emplace_back(machine, plan, i, readers_stop);
  deterministic_disturber disturber(machine, plan, activities, client, statistics, stop);
  random_source random(plan.seed * 79);

  std::deque<sim::scheduled_thread> readers, workers;
  for (port_reader& each : port_readers) readers.emplace_back([&each] { each.run(); });
  readers.emplace_back([&] {
    while (!readers_stop.load()) {
      if (random.one_in(4)) pause_for(random.below(5'000'000));
      if (plan.reader_leaves && random.one_in(6)) {
        client.leave_with_reads_pending(1 + random.below(3), [&] { pause_for(random.below(2'000'000)); });
      }
      (void)client.read(std::chrono::milliseconds(random.one_in(4) ? 0 : random.below(50)));
    }
  });
  for (deterministic_activity& each : activities) workers.emplace_back([&each] { each.run(); });
  sim::scheduled_thread disturbing([&] { disturber.run(); });
  for (sim::scheduled_thread& each : workers) each.join();
  stop.store(true);
  disturbing.join();
  readers_stop.store(true);
  for (sim::scheduled_thread& each : readers) each.join();
  if (plan.later) machine.fail_call(plan.later->kind, 0);

  expect_all_by_itself(plan, client, statistics);
  client.drain();
  own_tally own{own_type, 0, 0, 0};
  for (uint32_t i = 0; i < plan.activities; ++i) {
    for (uint32_t writer = 0; writer < writers_per_activity; ++writer) {
      const deterministic_activity::tally& tally = activities[i].of_writer(writer);
      own.attempted += tally.attempted;
      own.kept += tally.kept;
      own.discarded += tally.discarded;
      const uint32_t number = i * writers_per_activity + writer;
      if (plan.mode == ring_mode::overwrite || client.lost(own_type) != 0) continue;
      if (client.own_events(number) != tally.kept || client.own_missing(number)) {
        broken("M2", no_cpu, "writer {} committed {} own events; {} were received", number, tally.kept, client.own_events(number));
      }
    }
  }
  account_row sum{};
  protocol::statistics_header header{};
  const std::vector<protocol::statistics_row> rows = statistics.take(header);
  check_all(rows, client, own, plan.mode == ring_mode::overwrite && header.overdue_records != 0,
            plan.switches_types ? ~uint64_t{0} : 0, sum);
  if (header.late_records != client.late()) {
    broken("M1", no_cpu, "{} records were marked late; the driver counts {}", client.late(), header.late_records);
  }
  // Every store is visible at once here: within any margin. Only what was set aside may come late, and what a step of the clock
  // has left undecided (docs/decisions/0009).
  if (!plan.moves_counter && header.late_records > header.overdue_records) {
    broken("M1", no_cpu, "{} records came late, and {} were set aside", header.late_records, header.overdue_records);
  }
  turns.note(sum.attempted);
  turns.note(sum.dropped_total());
  result.records = client.total();
}

}  // namespace

run_result run_deterministic(uint64_t seed, bool trace, uint64_t left_out_store) {
  const run_plan plan = plan_of(seed);
  if (trace) fmt::print("{}\n", text_of(plan));
  sim::turns::observer observe;
  if (trace) {
    observe = [](const sim::turn& turn) {
      fmt::print("{:6} {:8} {:14} ns  {:2} -> {:2}  {}\n", turn.number, turn.points, turn.nanoseconds, turn.from, turn.to, turn.at);
    };
  }
  const sim::one_at_a_time turns(seed, most_points, std::move(observe), [](const char* why) { broken("W1", no_cpu, "{}", why); });
  leave_out_store(left_out_store);
  run_result result{};
  {
    sim::machine machine(machine_options_of(plan));
    {
      const sim::activity here(machine, 0, 4, 8);
      load(machine, plan);
      run_clients(machine, plan, trace, result);
      const NTSTATUS unloaded = machine.unload_driver("Sluice");
      if (!NT_SUCCESS(unloaded)) broken("device", no_cpu, "unloading gave {:#x}", static_cast<uint32_t>(unloaded));
    }
    if (!is_empty(machine.in_use())) broken("leak", no_cpu, "the driver is gone, and something of it is still there");
  }
  const sim::turns& made = sim::the_scheduler.the_turns();
  result.fingerprint = made.fingerprint();
  result.switches = made.switches();
  result.points = made.points();
  return result;
}

}  // namespace sluice::stress
