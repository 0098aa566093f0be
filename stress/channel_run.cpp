#include "stress/channel_run.h"

#include <unistd.h>

#include <optional>

#include "stress/consumer.h"
#include "stress/disturbers.h"
#include "stress/duets.h"
#include "stress/hostile.h"
#include "stress/progress.h"

namespace sluice::stress {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class channel_run {
 public:
  channel_run(sim::machine& machine, const stress_options& options)
      : options_(options), rig_(machine, options), threads_(options.cpus * options.producers),
        dpcs_(rig_, threads_), soloist_(rig_, threads_ + dpc_writers::per_cpu * options.cpus),
        duets_(rig_, soloist_, soloist_.events().index() + 1), hoarder_index_(duets_.events().index() + 1),
        consumer_(make_consumer(rig_, hoarder_index_ + 1)) {
    for (uint32_t i = 0; i < threads_; ++i) producers_.emplace_back(rig_, dpcs_, i, i % options.cpus);
  }

  void run() {
    start();
    progress shown("events");
    const auto begin = steady_clock::now();
    for (bool more = true; more;) {
      const uint64_t rest_at = rig_.attempted.load(std::memory_order_relaxed) + options_.quiet_events;
      for (uint64_t done = 0; more && done < rest_at;) {
        std::this_thread::sleep_for(milliseconds(1));
        const std::chrono::duration<double> passed = steady_clock::now() - begin;
        done = rig_.attempted.load(std::memory_order_relaxed);
        more = done < options_.events && (options_.seconds == 0 || passed.count() < options_.seconds);
        shown.show(done, options_.events);
      }
      come_to_rest();
      if (more) rig_.producers_gate.reopen();
    }
    seconds_ = std::chrono::duration<double>(steady_clock::now() - begin).count();
    rig_.producers_gate.end();
    finish();
    shown.clear();
    print();
  }

 private:
  void start() {
    consumer_->start();
    for (uint32_t i = 0; options_.hand_over && i < 2; ++i) closers_.emplace_back(rig_, i);
    if (options_.hoarder) hoarder_.emplace(rig_, hoarder_index_);
    if (options_.switching) switcher_.emplace(rig_);
    for (producer& each : producers_) each.start();
    if (options_.suspend) suspender_.emplace(rig_, producers_);
    behind_gate_ = threads_ + (hoarder_ ? 1 : 0) + (switcher_ ? 1 : 0) + (suspender_ ? 1 : 0);
  }

  // Everybody parks and nothing is open; then duets, one event on each CPU, and the audit.
  void come_to_rest() {
    rig_.producers_gate.close();
    wait_until([&] { return rig_.producers_gate.all_parked(behind_gate_); }, "the producers park");
    KeFlushQueuedDpcs();
    wait_until([&] { return rig_.hand_over.open() == 0; }, "the records handed over are closed");
    duets_.wait_drained("all producers parked");
    if (options_.duets) duets_.play(24);
    wait_until([&] { return rig_.hand_over.open() == 0; }, "the records handed over are closed");
    duets_.ring_bells();
    audit({});
    ++audits_;
  }

  template <class condition>
  void wait_until(condition&& holds, const char* what) {
    const auto patience = steady_clock::now() + std::chrono::seconds(60);
    while (!holds()) {
      std::this_thread::sleep_for(std::chrono::microseconds(100));
      if (steady_clock::now() > patience) broken("progress", no_cpu, "waited 60 s until {}", what);
    }
  }

  void audit(const std::vector<held_record>& still_open) {
    expectation expected;
    expected.all = tally(options_.cpus);
    expected.sequences.resize(hoarder_index_ + 1);
    expected.still_open.resize(options_.cpus * max_record_types);
    const auto add = [&](const writer& from) {
      expected.all.add(from.counted());
      expected.sequences[from.index()] = from.sequence();
    };
    uint64_t switched_off = 0;
    for (producer& each : producers_) {
      add(each.events());
      switched_off += each.switched_off();
    }
    dpcs_.for_each_writer(add);
    add(soloist_.events());
    add(duets_.events());
    if (hoarder_) add(hoarder_->events());
    for (const held_record& held : still_open) ++expected.still_open[held.cpu * max_record_types + held.type].kept;
    if (rig_.channel.switched_off() != switched_off) {
      broken("R3", no_cpu, "the channel counts {} events of types switched off; the writers {}", rig_.channel.switched_off(),
             switched_off);
    }
    consumer_->audit(expected);
    told_ = expected.all;
  }

  // R3 with records open, known to be; then the consumer ends, and its word is forged.
  void finish() {
    std::vector<held_record> open;
    for (uint32_t cpu = 0; cpu < options_.cpus; ++cpu) {
      rig::pin_to(cpu);
      for (uint32_t i = 0; i <= cpu % 3; ++i) {
        held_record held;
        if (!duets_.events().reserve_in_section(i == 1 ? event_type::duet_critical : event_type::duet, sizeof(event_head),
                                                true, held)) {
          broken("R1", cpu, "no room in an empty ring");
        }
        rig_.fill(held.record.payload(), held.head, false);
        open.push_back(held);
      }
    }
    audit(open);
    for (const held_record& held : open) rig_.finish(held);
    duets_.wait_drained("the last records were closed");
    duets_.ring_bells();
    audit({});

    rig_.closers_stop.store(true, std::memory_order_relaxed);
    closers_.clear();
    suspender_.reset();
    hoarder_.reset();
    switcher_.reset();
    consumer_->stop();
    if (options_.hostile) check_forged_words(rig_, duets_.events());
  }

  void print() {
    fmt::print("\n{:20}{:>12}{:>12}{:>12}{:>14}{:>14}{:>10}\n", "type", "attempted", "committed", "discarded", "ring_full",
               "critical_full", "too_long");
    account_row sum{};
    const auto line = [](const char* name, const account_row& row) {
      fmt::print("{:20}{:>12}{:>12}{:>12}{:>14}{:>14}{:>10}\n", name, row.attempted, row.committed, row.discarded,
                 row.dropped[0], row.dropped[1], row.dropped[2]);
    };
    for (uint32_t type = 0; type < max_record_types; ++type) {
      const account_row& row = consumer_->account()[type];
      if (row.attempted == 0) continue;
      line(name_of_type(type), row);
      sum.add(row);
    }
    line("all", sum);
    const consumer_counts counts = consumer_->counts();
    const checker& checked = consumer_->checked();
    fmt::print("\n{} order, {} virtual CPUs, {} producer threads, rings of {} bytes, seed {} (simulated kernel)\n",
               options_.order == order_kind::exact ? "exact" : "slack", options_.cpus, threads_, options_.ring_bytes,
               options_.seed);
    fmt::print("{:.1f} s, {:.0f} attempts/s; {} records received and checked, {} bytes\n", seconds_,
               static_cast<double>(sum.attempted) / seconds_, checked.total(), checked.bytes());
    fmt::print("{} passes, {} sleeps, {} wake-ups, {} stalls, {} refusals\n", counts.passes, counts.sleeps,
               counts.signals, counts.stalls, counts.refusals);
    fmt::print("{} set aside, {} late, {} late because the margin was too short\n", counts.set_aside, checked.late(),
               checked.late_by_margin());
    fmt::print("{} DPCs, {} records closed by other threads, {} suspensions\n", dpcs_.runs(),
               rig_.hand_over.closed_elsewhere(), rig_.suspensions.load());
    fmt::print("{} audits at rest, {} accounts while running, {} duets\n", audits_, counts.accounts, duets_.rounds());
  }

  const stress_options& options_;
  rig rig_;
  uint32_t threads_;
  dpc_writers dpcs_;
  soloist soloist_;
  duets duets_;
  uint32_t hoarder_index_;
  std::unique_ptr<consumer> consumer_;
  std::deque<producer> producers_;
  std::deque<closer> closers_;
  std::optional<hoarder> hoarder_;
  std::optional<type_switcher> switcher_;
  std::optional<suspender> suspender_;
  uint32_t behind_gate_ = 0;
  tally told_{1};
  double seconds_ = 0;
  uint64_t audits_ = 0;
};

}  // namespace

void run_on_channel(const stress_options& options) {
  sim::machine_options machine_options;
  machine_options.processors = options.cpus;
  machine_options.seed = options.perturb ? options.seed | 1 : 0;
  sim::machine machine(machine_options);
  const sim::activity here(machine, 0, event_pid, 10000);
  channel_run(machine, options).run();
}

}  // namespace sluice::stress
