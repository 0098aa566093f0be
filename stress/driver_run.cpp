#include "stress/driver_run.h"

#include <deque>
#include <cstring>
#include <map>
#include <thread>

#include "kernel_port/driver/sensor.h"
#include "stress/driver_client.h"
#include "stress/progress.h"
#include "stress/random.h"
#include "stress/report.h"

namespace sluice::stress {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr uint32_t duet_rounds = 300;

sensor* loaded_sensor = nullptr;

VOID unload(PDRIVER_OBJECT) {
  sensor::destroy(loaded_sensor);
  loaded_sensor = nullptr;
}

NTSTATUS driver_entry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path) {
  driver->DriverUnload = &unload;
  return sensor::create(driver, registry_path, loaded_sensor);
}

// A thread of the machine on which things happen: images, processes and threads that come and go, own events.
class busy_activity {
 public:
  busy_activity(sim::machine& machine, const stress_options& options, const filler& from, uint32_t index, uint16_t own_type,
                std::atomic<bool>& stop, std::atomic<uint64_t>& raised)
      : machine_(machine), options_(options), filler_(from), index_(index), own_type_(own_type), stop_(stop),
        raised_(raised), random_(options.seed * 31 + index) {}

  void start() {
    thread_ = std::thread([this] { run(); });
  }
  void join() { thread_.join(); }
  uint32_t tid() const { return first_activity_tid + index_; }
  uint64_t own_attempted() const { return own_attempted_; }
  uint64_t own_kept() const { return own_kept_; }
  uint64_t own_discarded() const { return own_discarded_; }
  bool is_attached() const { return attached_.load(); }

 private:
  void run() {
    sim::activity here(machine_, index_ % options_.cpus, 1'000'000, tid());
    attached_.store(true);
    while (!stop_.load(std::memory_order_relaxed)) {
      if (options_.migrate && random_.one_in(32)) here.migrate(random_.below(options_.cpus));
      const uint32_t choice = random_.below(10);
      if (choice < 4) {
        load_image();
      } else if (choice < 5) {
        live_and_die();
      } else if (choice < 6) {
        set_value();
      } else if (choice < 7) {
        come_and_go();
      } else {
        own_event(choice == 7);
      }
      // The worker and the client share the host's processors with us.
      if (options_.back_off && random_.one_in(16)) std::this_thread::yield();
    }
  }

  void load_image() {
    sim::image_loading loading;
    loading.pid = 1'000'000;
    loading.base = image_base_of(index_, images_);
    loading.size = images_ + 1;
    loading.path = image_path_of(index_, images_);
    ++images_;
    sim::load_image(loading);
    raised_.fetch_add(1, std::memory_order_relaxed);
  }

  // A process with two threads.
  void live_and_die() {
    const uint32_t pid = 2'000'000 + index_ * 100'000 + 4 * (lives_++ % 20'000);
    sim::process_creation creation;
    creation.pid = pid;
    creation.parent_pid = 1'000'000;
    creation.image_path = u"\\Device\\HarddiskVolume1\\stress\\child.exe";
    creation.command_line = u"child.exe --now";
    if (!NT_SUCCESS(sim::create_process(creation))) broken("set-up", no_cpu, "process {} exists", pid);
    sim::create_thread(pid, pid + 1, 0x1000);
    sim::create_thread(pid, pid + 2, 0x2000);
    sim::exit_thread(pid, pid + 2);
    sim::exit_process(pid, 0);
    raised_.fetch_add(6, std::memory_order_relaxed);
  }

  void set_value() {
    const uint32_t number = values_++;
    const std::vector<uint8_t> data(value_bytes_of(number), value_byte_of(index_, number));
    const std::u16string key = value_key_of(index_);
    sim::registry_set_value({.key = key, .value = u"v", .type = number, .data = data, .outcome = value_status_of(number)});
    raised_.fetch_add(1, std::memory_order_relaxed);
  }

  // A key that is created, read, renamed and deleted.
  void come_and_go() {
    const std::u16string key = u"\\REGISTRY\\USER\\" + std::u16string(index_ + 1, u'k');
    sim::registry_create_key({.key = u"sub", .root = key});
    sim::registry_query_value({.key = key, .value = u"v"});
    sim::registry_rename_key({.key = key + u"\\sub", .new_name = u"bus"});
    sim::registry_delete_value({.key = key + u"\\bus", .value = u"v"});
    sim::registry_delete_key({.key = key + u"\\bus"});
    raised_.fetch_add(4, std::memory_order_relaxed);
  }

  void own_event(bool reserved) {
    event_head head{};
    const bool keep = !reserved || !options_.discards || !random_.one_in(8);
    head.context = {1'000'000, tid()};
    head.writer = index_;
    head.payload_length = static_cast<uint32_t>(sizeof head) + random_.below(200);
    head.sequence = keep ? own_kept_ : no_number;
    head.cpu = unknown_cpu;
    ++own_attempted_;
    bool ok = false;
    if (reserved) {
      reservation held;
      ok = loaded_sensor->events().reserve_event(own_type_, head.payload_length, held);
      if (ok) {
        put_event(held.payload(), head, filler_, true);
        if (random_.one_in(64)) std::this_thread::yield();
        if (keep) held.commit();  // or discarded at the end of the scope
      }
    } else {
      put_event(buffer_, head, filler_, false);
      ok = loaded_sensor->events().write(own_type_, event_version, buffer_, head.payload_length) == reserve_status::ok;
    }
    if (ok) ++(keep ? own_kept_ : own_discarded_);
    raised_.fetch_add(1, std::memory_order_relaxed);
  }

  sim::machine& machine_;
  const stress_options& options_;
  const filler& filler_;
  uint32_t index_;
  uint16_t own_type_;
  std::atomic<bool>& stop_;
  std::atomic<uint64_t>& raised_;
  random_source random_;
  uint64_t images_ = 0, lives_ = 0, own_attempted_ = 0, own_kept_ = 0, own_discarded_ = 0;
  uint32_t values_ = 0;
  std::atomic<bool> attached_{false};
  uint8_t buffer_[512];
  std::thread thread_;
};

// Asks for statistics while everything runs, and checks each answer: R3.
class statistics_reader {
 public:
  explicit statistics_reader(sim::machine& machine) : buffer_(4 << 20) {
    if (!NT_SUCCESS(file_.open(machine, u"Sluice", 4001))) broken("set-up", no_cpu, "opening the device failed");
  }

  std::vector<protocol::statistics_row> take(protocol::statistics_header& header) {
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
  uint64_t taken() const { return taken_; }

 private:
  sim::file file_;
  std::vector<uint8_t> buffer_;
  std::map<uint32_t, account_row> last_;
  uint64_t taken_ = 0;
};

// At rest: the machine's count of what it raised, the driver's account, what the client received and was told of.
void check_all(const std::vector<protocol::statistics_row>& rows, const driver_client& client, uint64_t own_attempted,
               uint64_t own_kept, uint64_t own_discarded, uint16_t own_type, account_row& sum) {
  account_row of_type[max_record_types] = {};
  for (const protocol::statistics_row& row : rows) {
    const account_row& a = row.account;
    of_type[row.type].add(a);
    sum.add(a);
    if (a.open != 0) broken("R3", row.cpu, "type {}: {} are open at rest", row.type, a.open);
    const uint64_t received = client.received(row.cpu, row.type), overwritten = client.overwritten(row.cpu, row.type);
    if (a.committed != received + overwritten) {  // O3
      broken("R3", row.cpu, "type {}: committed {}, received {}, announced as overwritten {}", row.type, a.committed, received,
             overwritten);
    }
    if (overwritten > a.overwritten) {
      broken("O3", row.cpu, "type {}: overwritten {}, announced as such {}", row.type, a.overwritten, overwritten);
    }
    if (a.dropped_total() != client.announced(row.cpu, row.type)) {
      broken("R4", row.cpu, "type {}: dropped {}, announced {}", row.type, a.dropped_total(),
             client.announced(row.cpu, row.type));
    }
  }
  const sim::raised_counts raised = sim::raised();
  const auto same = [&](uint16_t type, uint64_t expected) {
    if (of_type[type].attempted != expected) {
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
  same(own_type, own_attempted);
  if (of_type[own_type].committed != own_kept || of_type[own_type].discarded != own_discarded) {
    broken("R3", no_cpu, "own events: {} committed and {} discarded; their writers say {} and {}",
           of_type[own_type].committed, of_type[own_type].discarded, own_kept, own_discarded);
  }
}

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
    if (!loaded_sensor->events().reserve_event(own_type, head.payload_length, held)) {
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
  const NTSTATUS loaded = machine.load_driver("Sluice", &driver_entry);
  if (!NT_SUCCESS(loaded)) broken("set-up", no_cpu, "DriverEntry gave {:#x}", static_cast<uint32_t>(loaded));

  const uint32_t threads = options.cpus * options.producers;
  const filler from(4096);
  const auto begin = steady_clock::now();
  uint64_t records = 0, late = 0, batches = 0, asked = 0, suspensions = 0;
  account_row sum{};
  {
    driver_client client(machine, options.cpus, threads + 1, from);  // the duets' writer is one more
    statistics_reader statistics(machine);
    static constexpr field_declaration fields[] = {
        SLUICE_FIELD(event_head, writer, field_kind::unsigned_integer),
        SLUICE_FIELD(event_head, sequence, field_kind::unsigned_integer)};
    uint16_t own_type = 0;
    const NTSTATUS registered = loaded_sensor->types().register_type({"stress", 1, fields, 2}, own_type);
    if (!NT_SUCCESS(registered)) broken("set-up", no_cpu, "register_type gave {:#x}", static_cast<uint32_t>(registered));
    client.set_own_type(own_type);

    std::atomic<bool> stop{false};
    std::atomic<bool> reader_stops{false};
    std::atomic<uint64_t> raised{0};
    std::deque<busy_activity> activities;
    for (uint32_t i = 0; i < threads; ++i) activities.emplace_back(machine, options, from, i, own_type, stop, raised);
    std::thread reader([&] {
      while (!reader_stops.load(std::memory_order_relaxed)) (void)client.read(milliseconds(20));
    });
    for (busy_activity& each : activities) each.start();
    progress shown("events");
    random_source random(options.seed);
    protocol::statistics_header header{};
    while (raised.load(std::memory_order_relaxed) < options.events &&
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
      shown.show(raised.load(std::memory_order_relaxed), options.events);
    }
    stop.store(true);
    uint64_t own_attempted = 0, own_kept = 0, own_discarded = 0;
    for (busy_activity& each : activities) each.join();
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
    own_attempted += play_duets(client, from, threads, own_type, options, random);
    own_kept += options.duets ? duet_rounds : 0;
    check_all(statistics.take(header), client, own_attempted, own_kept, own_discarded, own_type, sum);
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
  const NTSTATUS unloaded = machine.unload_driver("Sluice");
  if (!NT_SUCCESS(unloaded)) broken("device", no_cpu, "unloading gave {:#x}", static_cast<uint32_t>(unloaded));

  fmt::print("\nthrough the driver: attempted {}, committed {}, discarded {}, dropped {} (ring full) {} (critical), overwritten {}\n",
             sum.attempted, sum.committed, sum.discarded, sum.dropped[0], sum.dropped[1], sum.overwritten);
  fmt::print("{} virtual CPUs, {} activities, rings of {} bytes, {} mode, seed {} (simulated kernel)\n", options.cpus, threads,
             options.ring_bytes, name_of(options.mode), options.seed);
  fmt::print("{:.1f} s; {} records in {} batches read and checked, {} late; {} statistics, {} suspensions\n", seconds,
             records, batches, late, asked, suspensions);
}

}  // namespace sluice::stress
