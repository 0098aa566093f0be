#include "stress/torture_run.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>

#include "stress/busy_activity.h"
#include "stress/driver_account.h"
#include "stress/loaded_driver.h"
#include "stress/progress.h"
#include "stress/report.h"
#include "stress/torture_client.h"

namespace sluice::stress {
namespace {

using std::chrono::microseconds;
using std::chrono::steady_clock;

constexpr uint32_t first_client_pid = 5'000'000;
constexpr uint64_t ticks_per_second = 10'000'000;

// What the whole run did.
struct torture_counts {
  uint64_t machines = 0, loads = 0, loads_under_load = 0, unloads_under_load = 0, processors_added = 0;
  uint64_t clients[4] = {}, refused = 0, records = 0, missed = 0;
  uint64_t filters = 0, clock_changes = 0, suspensions = 0, statistics = 0, settlements = 0, accounts = 0;
  uint64_t attempted = 0, committed = 0, discarded = 0, dropped = 0, filtered = 0, overwritten = 0;
  uint32_t most_processors = 0, most_groups = 0;
};

// Every block of shared memory is a descriptor of this process.
void allow_many_descriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

// One machine, from its start to its end.
class machine_life {
 public:
  machine_life(const stress_options& options, random_source& random, torture_counts& counts)
      : options_(options), random_(random), counts_(counts), mode_(random.one_in(4) ? ring_mode::overwrite : ring_mode::discard),
        machine_(machine_of()), here_(machine_, 0, 4, 8), world_{machine_, options_} {
    const uint32_t activities = std::max(8u, options_.producers);
    for (uint32_t i = 0; i < activities; ++i) activities_.emplace_back(world_, i);
    for (busy_activity& each : activities_) each.start();
    ++counts_.machines;
    set_dump([this](uint32_t) { describe(); });
  }
  ~machine_life() {
    set_dump({});
    world_.stop.store(true);
    for (busy_activity& each : activities_) each.join();
    const uint32_t in_group = machine_.options().processors_per_group;
    counts_.most_processors = std::max(counts_.most_processors, machine_.processors());
    counts_.most_groups = std::max(counts_.most_groups, (machine_.processors() + in_group - 1) / in_group);
  }

  uint64_t raised() const { return world_.raised.load(std::memory_order_relaxed); }

  // The driver, from its load to its unload.
  void load_and_unload() {
    const bool under_load = random_.one_in(2);
    if (!under_load) rest();
    if (random_.one_in(2)) clock_steps_ = true;  // until the end of this machine: what was recorded before a step is read after it
    at_load_ = sim::raised();
    own_at_load_ = own_attempted();
    own_type_ = load_driver(machine_);
    nobody_yet_ = true;
    statistics_.emplace(machine_);
    world_.driver.give(the_sensor(), own_type_);
    if (!under_load) go_on();
    ++counts_.loads;
    counts_.loads_under_load += under_load;

    for (uint32_t rounds = 1 + random_.below(4); rounds != 0; --rounds) have_clients();

    rest();
    count(check_account());
    statistics_.reset();
    if (random_.one_in(2)) {
      ++counts_.unloads_under_load;
      go_on();
    }
    world_.driver.take_back();
    unload_driver(machine_);
    const sim::machine::usage left = machine_.in_use();
    if (left.pool_blocks + left.system_threads + left.timers + left.notify_routines + left.devices + left.symbolic_links + left.filters +
            left.filter_connections + left.callbacks + left.user_mappings != 0) {
      broken("unload", no_cpu, "{} blocks, {} threads, {} timers, {} routines, {} connections, {} mappings are left", left.pool_blocks,
             left.system_threads, left.timers, left.notify_routines, left.filter_connections, left.user_mappings);
    }
    if (resting_) go_on();
  }

 private:
  sim::machine_options machine_of() {
    sim::machine_options result;
    result.seed = options_.perturb && random_.one_in(2) ? random_.next() | 1 : 0;
    result.shared_memory = true;
    constexpr sim::kernel_level levels[] = {sim::kernel_level::windows10, sim::kernel_level::windows10, sim::kernel_level::windows8,
                                            sim::kernel_level::vista};
    result.level = levels[random_.below(std::size(levels))];
    const bool has_groups = result.level != sim::kernel_level::vista;  // they came with Windows 7
    const uint32_t cpus = has_groups ? options_.cpus : std::min(options_.cpus, 64u);
    result.maximum_processors = cpus;
    result.processors = std::max(1u, cpus - random_.below(std::max(1u, cpus / 2)));
    result.processors_per_group = has_groups ? std::clamp(cpus / 3, 1u, 64u) : 64;
    constexpr uint32_t overdue[] = {1, 20, 5000};
    const uint32_t ring_bytes = std::max(16384u, options_.ring_bytes >> random_.below(5));
    result.service_parameters = {{u"Sluice", u"RingBytes", ring_bytes},
                                 {u"Sluice", u"SpareRingBytes", 8192},
                                 {u"Sluice", u"OverdueMilliseconds", overdue[random_.below(std::size(overdue))]},
                                 {u"Sluice", u"HoldUntilAttach", random_.below(2)},
                                 {u"Sluice", u"MarginMicroseconds", options_.margin_microseconds},
                                 {u"Sluice", u"Mode", static_cast<uint32_t>(mode_)}};
    // Read-only views came with Windows 8, and a flight recorder does not wait for its consumer.
    maps_ = mode_ == ring_mode::discard && result.level >= sim::kernel_level::windows8;
    holds_until_attach_ = result.service_parameters[3].value != 0;
    return result;
  }

  // For a report, while whatever broke is as it was: nothing here waits.
  void describe() const {
    const sim::machine_options& of = machine_.options();
    fmt::print(stderr, "  --seed {}: machine {}, load {}\n", options_.seed, counts_.machines, counts_.loads + 1);
    fmt::print(stderr, "  a machine of {} CPUs, kernel level {}, rings that {}; {}seed {}; the clock {}; {}\n", machine_.processors(),
               static_cast<int>(of.level), mode_ == ring_mode::overwrite ? "overwrite" : "discard",
               holds_until_attach_ ? "HoldUntilAttach, " : "", of.seed, clock_steps_ ? "steps" : "does not step",
               resting_ ? "nothing happens" : "events happen");
    for (const torture_client& each : clients_) {
      const torture_plan& plan = each.plan();
      fmt::print(stderr, "  a client by {}, types {:#x}{}{}{}: {} records, {} missed\n", name_of(plan.by), plan.types,
                 plan.own_filter ? ", own filters" : "", plan.slow ? ", slow" : "", plan.since_load ? ", since load" : "", each.records(),
                 each.missed());
    }
  }

  // Nothing happens any more, and nothing is open.
  void rest() {
    world_.parks.close();
    const auto limit = steady_clock::now() + std::chrono::seconds(120);
    while (!world_.parks.all_parked(static_cast<uint32_t>(activities_.size()))) {
      if (steady_clock::now() > limit) broken("progress", no_cpu, "waited 120 s until the activities rest");
      std::this_thread::sleep_for(microseconds(100));
    }
    resting_ = true;
  }
  void go_on() {
    resting_ = false;
    world_.parks.reopen();
  }

  // Some clients at a time, or one that maps; meanwhile everything else.
  void have_clients() {
    const auto add = [&](torture_plan plan, bool welcome) {
      plan.pid = next_pid_++;
      plan.seed = random_.next();
      plan.slow = random_.one_in(4);
      plan.clock_steps = clock_steps_;
      plan.since_load = nobody_yet_ && holds_until_attach_ && welcome;
      clients_.emplace_back(machine_, plan, static_cast<uint32_t>(activities_.size()), own_type_, world_.from);
      if (!clients_.back().connected()) {
        if (welcome) broken("client", no_cpu, "a client by {} was refused", name_of(plan.by));
        ++counts_.refused;
        clients_.pop_back();
        return;
      }
      if (!welcome) broken("client", no_cpu, "a client by {} was let in beside one that stands in its way", name_of(plan.by));
      nobody_yet_ = false;
      ++counts_.clients[static_cast<size_t>(plan.by)];
    };
    if (maps_ && random_.one_in(3)) {
      add({.by = transport::mapping}, true);
      add({.by = transport::port}, false);
    } else {
      if (random_.one_in(2)) {
        add({.by = transport::ioctl}, true);
        clients_.back().wait_for_read();
        if (maps_) add({.by = transport::mapping}, false);
      }
      for (uint32_t more = 1 + random_.below(6); more != 0; --more) {
        const uint64_t types = random_.one_in(2) ? ~uint64_t{0} : random_.next();
        add({.by = transport::port, .types = types, .own_filter = random_.one_in(4)}, true);
      }
    }
    for (uint32_t turns = 10 + random_.below(60); turns != 0; --turns) {
      meddle();
      if (!clients_.empty() && random_.one_in(16)) clients_[random_.below(static_cast<uint32_t>(clients_.size()))].cancel();
      if (clients_.size() > 1 && random_.one_in(24)) {
        count(clients_.back());
        clients_.pop_back();
      }
      std::this_thread::sleep_for(microseconds(random_.below(2000)));
    }
    if (random_.one_in(2)) {
      rest();
      for (torture_client& each : clients_) each.settle();
      ++counts_.settlements;
      (void)check_account();
      go_on();
    }
    for (const torture_client& each : clients_) count(each);
    clients_.clear();
  }

  void count(const torture_client& each) {
    counts_.records += each.records();
    counts_.missed += each.missed();
  }

  // One thing that changes while everything runs.
  void meddle() {
    switch (random_.below(8)) {
      case 0:
        for (uint32_t more = random_.below(5); more != 0 && machine_.processors() < machine_.options().maximum_processors; --more) {
          if (!NT_SUCCESS(machine_.add_processor())) broken("set-up", no_cpu, "processor {} could not be added", machine_.processors());
          ++counts_.processors_added;
        }
        break;
      case 1: change_filter(); break;
      case 2:
        if (!clock_steps_) break;
        machine_.move_counter(static_cast<int64_t>(random_.below(3 * ticks_per_second)) - ticks_per_second);
        ++counts_.clock_changes;
        break;
      case 3:
        if (!clock_steps_) break;
        machine_.stop_counter();
        std::this_thread::sleep_for(microseconds(random_.below(1000)));
        machine_.run_counter();
        ++counts_.clock_changes;
        break;
      case 4:
        machine_.set_system_time(machine_.system_time() + random_.below(10 * ticks_per_second));
        ++counts_.clock_changes;
        break;
      case 5:
      case 6: suspend_one(); break;
      default: {
        protocol::statistics_header header{};
        (void)statistics_->take(header);
        ++counts_.statistics;
      }
    }
  }

  void change_filter() {
    filter_header message{};
    message.magic = filter_magic;
    message.version = filter_version;
    message.header_bytes = message.total_bytes = sizeof message;
    message.types = random_.next() | random_.next();
    sim::file file;
    if (!NT_SUCCESS(file.open(machine_, u"Sluice", 4002))) broken("set-up", no_cpu, "opening the device failed");
    uint64_t bytes = 0;
    filter_answer answer{};
    const std::span<uint8_t> out{reinterpret_cast<uint8_t*>(&answer), sizeof answer};
    const std::span<const uint8_t> in{reinterpret_cast<const uint8_t*>(&message), sizeof message};
    const bool clear = random_.one_in(2);
    const NTSTATUS status = clear ? file.control(protocol::code_clear_filter, {}, out, bytes)
                                  : file.control(protocol::code_set_filter, in, out, bytes);
    if (status != STATUS_SUCCESS || answer.error != 0) {
      broken("device", no_cpu, "a filter gave {:#x}, error {}", static_cast<uint32_t>(status), answer.error);
    }
    ++counts_.filters;
  }

  void suspend_one() {
    busy_activity& target = activities_[random_.below(static_cast<uint32_t>(activities_.size()))];
    if (!options_.suspend || !target.is_attached()) return;
    machine_.suspend_thread(target.tid());
    std::this_thread::sleep_for(microseconds(random_.below(500)));
    machine_.resume_thread(target.tid());
    ++counts_.suspensions;
  }

  uint64_t own_attempted() const {
    uint64_t sum = 0;
    for (const busy_activity& each : activities_) sum += each.own_attempted();
    return sum;
  }

  // At rest: nothing is open, and the driver was asked for as many events as the machine has raised since it is loaded.
  struct account_sum {
    account_row rows{};
    uint64_t filtered = 0;
  };
  account_sum check_account() {
    protocol::statistics_header header{};
    uint64_t attempted[max_record_types] = {};
    account_sum sum;
    for (const protocol::statistics_row& row : statistics_->take(header)) {
      if (row.account.open != 0) broken("R3", row.cpu, "type {}: {} are open at rest", row.type, row.account.open);
      attempted[row.type] += row.account.attempted;
      if (row.type < first_event_type) continue;
      sum.rows.add(row.account);
      sum.filtered += row.filtered_total();
    }
    const sim::raised_counts now = sim::raised();
    uint64_t all = 0, all_raised = 0;
    const auto compare = [&](uint16_t type, uint64_t raised) {
      all += attempted[type];
      all_raised += raised;
      if (attempted[type] > raised) broken("R3", no_cpu, "type {}: {} attempted, {} raised", type, attempted[type], raised);
    };
    compare(event_type_process_create, now.process_create - at_load_.process_create);
    compare(event_type_process_exit, now.process_exit - at_load_.process_exit);
    compare(event_type_thread_create, now.thread_create - at_load_.thread_create);
    compare(event_type_thread_exit, now.thread_exit - at_load_.thread_exit);
    compare(event_type_image_load, now.image_load - at_load_.image_load);
    compare(event_type_registry_create_key, now.registry_create_key - at_load_.registry_create_key);
    compare(event_type_registry_set_value, now.registry_set_value - at_load_.registry_set_value);
    compare(event_type_registry_delete_key, now.registry_delete_key - at_load_.registry_delete_key);
    compare(event_type_registry_delete_value, now.registry_delete_value - at_load_.registry_delete_value);
    compare(event_type_registry_rename_key, now.registry_rename_key - at_load_.registry_rename_key);
    // Own events are written while the sensor is lent, so none is missing; callbacks may have met types that were still off.
    if (attempted[own_type_] > own_attempted() - own_at_load_) {
      broken("R3", no_cpu, "own events: {} attempted, their writers say {}", attempted[own_type_], own_attempted() - own_at_load_);
    }
    all += attempted[own_type_];
    all_raised += own_attempted() - own_at_load_;
    if (all + header.switched_off != all_raised) {
      broken("R3", no_cpu, "{} raised, but {} attempted and {} switched off", all_raised, all, header.switched_off);
    }
    ++counts_.accounts;
    return sum;
  }
  void count(const account_sum& of_load) {
    counts_.attempted += of_load.rows.attempted;
    counts_.committed += of_load.rows.committed;
    counts_.discarded += of_load.rows.discarded;
    counts_.dropped += of_load.rows.dropped_total();
    counts_.filtered += of_load.filtered;
    counts_.overwritten += of_load.rows.overwritten;
  }

  const stress_options& options_;
  random_source& random_;
  torture_counts& counts_;
  const ring_mode mode_;
  bool holds_until_attach_ = true, maps_ = false;
  sim::machine machine_;
  const sim::activity here_;
  busy_world world_;
  std::deque<busy_activity> activities_;
  std::deque<torture_client> clients_;
  std::optional<statistics_reader> statistics_;
  sim::raised_counts at_load_{};
  uint64_t own_at_load_ = 0;
  uint16_t own_type_ = 0;
  uint32_t next_pid_ = first_client_pid;
  bool nobody_yet_ = true;
  bool clock_steps_ = false;
  bool resting_ = false;
};

}  // namespace

void run_torture(const stress_options& options) {
  allow_many_descriptors();
  random_source random(options.seed);
  torture_counts counts;
  progress shown(options.seconds != 0 ? "seconds" : "events");
  const auto begin = steady_clock::now();
  uint64_t raised = 0;
  double seconds = 0;
  const auto over = [&] {
    seconds = std::chrono::duration<double>(steady_clock::now() - begin).count();
    return options.seconds != 0 ? seconds >= options.seconds : raised >= options.events;
  };
  while (!over()) {
    machine_life life(options, random, counts);
    for (uint32_t loads = 1 + random.below(3); loads != 0 && !over(); --loads) {
      life.load_and_unload();
      if (options.seconds != 0) shown.show(static_cast<uint64_t>(seconds), static_cast<uint64_t>(options.seconds));
      else shown.show(raised + life.raised(), options.events);
    }
    raised += life.raised();
  }
  shown.clear();
  fmt::print("\ntorture: {} machines of up to {} virtual CPUs in {} groups ({} CPUs added), seed {} (simulated kernel)\n", counts.machines,
             counts.most_processors, counts.most_groups, counts.processors_added, options.seed);
  fmt::print("{} loads, {} under load; {} unloads under load; {} events raised in {:.1f} s\n", counts.loads, counts.loads_under_load,
             counts.unloads_under_load, raised, seconds);
  fmt::print("attempted {}: committed {}, discarded {}, dropped {}, filtered {}; overwritten {}\n", counts.attempted, counts.committed,
             counts.discarded, counts.dropped, counts.filtered, counts.overwritten);
  fmt::print("clients: {} by the port, {} by pended reads, {} by the mapping; {} refused beside them; {} records read and checked, {} missed by a client alone\n",
             counts.clients[static_cast<size_t>(transport::port)], counts.clients[static_cast<size_t>(transport::ioctl)],
             counts.clients[static_cast<size_t>(transport::mapping)], counts.refused, counts.records,
             counts.missed);
  fmt::print("{} filters, {} changes of clocks, {} suspensions, {} accounts while running; at rest {} accounts and {} times every client's\n",
             counts.filters, counts.clock_changes, counts.suspensions, counts.statistics, counts.accounts, counts.settlements);
}

}  // namespace sluice::stress
