#include "stress/driver_run.h"

#include <deque>
#include <thread>

#include "stress/busy_activity.h"
#include "stress/driver_account.h"
#include "stress/driver_client.h"
#include "stress/loaded_driver.h"
#include "stress/progress.h"
#include "stress/random.h"
#include "stress/report.h"

namespace sluice::stress {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr uint32_t duet_rounds = 300;

// With everybody else at rest: one event after another, each into a worker that is about to sleep, while a read is pending.
// A wake-up that the worker loses is covered by nothing: W1. Returns how many were written.
uint64_t play_duets(driver_client& client, const filler& from, uint32_t writer, uint16_t own_type,
                    const stress_options& options, random_source& random) {
  if (!options.duets) return 0;
  std::thread reader([&] {
    for (uint32_t i = 0; i < duet_rounds; ++i) {
      while (client.own_events(writer) == i) {
        if (!client.read(std::chrono::seconds(60))) {
          broken("W1", no_cpu, "an event was committed, a read is pending, and nothing has come for 60 s (round {})", i);
        }
      }
      client.rounds.store(i + 1, std::memory_order_release);
    }
  });
  for (uint32_t i = 0; i < duet_rounds; ++i) {
    event_head head{};
    head.context = {4, 8};
    head.writer = writer;
    head.payload_length = sizeof head;
    head.sequence = i;
    head.cpu = unknown_cpu;
    reservation held;
    for (uint32_t turns = random.below(600); turns != 0; --turns) YieldProcessor();
    if (!the_sensor()->events().reserve_event(own_type, head.payload_length, held)) {
      broken("R1", no_cpu, "no room in an empty ring");
    }
    put_event(held.payload(), head, from, true);
    for (uint32_t turns = random.below(600); turns != 0; --turns) YieldProcessor();
    held.commit();
    while (client.rounds.load(std::memory_order_acquire) != i + 1) std::this_thread::yield();
  }
  reader.join();
  return duet_rounds;
}

sim::machine_options machine_options_of(const stress_options& options) {
  sim::machine_options result;
  result.processors = options.cpus;
  result.seed = options.perturb ? options.seed | 1 : 0;
  result.service_parameters = {{u"Sluice", u"RingBytes", options.ring_bytes},
                               {u"Sluice", u"SpareRingBytes", options.spare_bytes},
                               {u"Sluice", u"MarginMicroseconds", options.margin_microseconds},
                               {u"Sluice", u"Mode", static_cast<uint32_t>(options.mode)}};
  return result;
}

}  // namespace

void run_on_driver(const stress_options& options) {
  sim::machine machine(machine_options_of(options));
  const sim::activity here(machine, 0, 4, 8);
  const uint16_t own_type = load_driver(machine);

  const uint32_t threads = options.cpus * options.producers;
  busy_world world{machine, options};
  const auto begin = steady_clock::now();
  uint64_t records = 0, late = 0, batches = 0, asked = 0, suspensions = 0;
  account_row sum{};
  {
    driver_client client(machine, options.cpus, threads + 1, world.from);  // the duets' writer is one more
    statistics_reader statistics(machine);
    client.set_own_type(own_type);

    std::atomic<bool> reader_stops{false};
    std::deque<busy_activity> activities;
    for (uint32_t i = 0; i < threads; ++i) activities.emplace_back(world, i);
    world.driver.give(the_sensor(), own_type);
    std::thread reader([&] {
      while (!reader_stops.load(std::memory_order_relaxed)) (void)client.read(milliseconds(20));
    });
    for (busy_activity& each : activities) each.start();
    progress shown("events");
    random_source random(options.seed);
    protocol::statistics_header header{};
    while (world.raised.load(std::memory_order_relaxed) < options.events &&
           (options.seconds == 0 || std::chrono::duration<double>(steady_clock::now() - begin).count() < options.seconds)) {
      std::this_thread::sleep_for(milliseconds(5));
      if (options.statistics) (void)statistics.take(header);
      busy_activity& target = activities[random.below(threads)];
      if (options.suspend && target.is_attached()) {
        machine.suspend_thread(target.tid());
        std::this_thread::sleep_for(std::chrono::microseconds(random.below(500)));
        machine.resume_thread(target.tid());
        ++suspensions;
      }
      shown.show(world.raised.load(std::memory_order_relaxed), options.events);
    }
    world.stop.store(true);
    uint64_t own_attempted = 0, own_kept = 0, own_discarded = 0;
    for (busy_activity& each : activities) each.join();
    world.driver.take_back();
    reader_stops.store(true);
    reader.join();
    client.drain();
    for (uint32_t i = 0; i < threads; ++i) {
      own_attempted += activities[i].own_attempted();
      own_kept += activities[i].own_kept();
      own_discarded += activities[i].own_discarded();
      // In overwrite mode what is missing is announced by CPU and type, and check_all compares that.
      if (options.mode == ring_mode::overwrite) continue;
      if (client.own_events(i) != activities[i].own_kept() || client.own_missing(i)) {
        broken("M2", no_cpu, "activity {} committed {} own events; {} were received", i, activities[i].own_kept(),
               client.own_events(i));
      }
    }
    own_attempted += play_duets(client, world.from, threads, own_type, options, random);
    own_kept += options.duets ? duet_rounds : 0;
    check_all(statistics.take(header), client, {own_type, own_attempted, own_kept, own_discarded}, false, 0, sum);
    if (header.late_records != client.late()) {
      broken("M1", no_cpu, "{} records were marked late; the driver counts {}", client.late(), header.late_records);
    }
    records = client.total();
    late = client.late();
    batches = client.batches();
    asked = statistics.taken();
    shown.clear();
  }
  const double seconds = std::chrono::duration<double>(steady_clock::now() - begin).count();
  unload_driver(machine);

  fmt::print("\nthrough the driver: attempted {}, committed {}, discarded {}, dropped {} (ring full) {} (critical), overwritten {}\n",
             sum.attempted, sum.committed, sum.discarded, sum.dropped[0], sum.dropped[1], sum.overwritten);
  fmt::print("{} virtual CPUs, {} activities, rings of {} bytes, {} mode, seed {} (simulated kernel)\n", options.cpus, threads,
             options.ring_bytes, name_of(options.mode), options.seed);
  fmt::print("{:.1f} s; {} records in {} batches read and checked, {} late; {} statistics, {} suspensions\n", seconds,
             records, batches, late, asked, suspensions);
}

}  // namespace sluice::stress
