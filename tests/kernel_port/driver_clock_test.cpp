// The driver's clock: what a client gets when the performance counter steps back, forward or stands still while events come.
#include <algorithm>
#include <chrono>
#include <map>

#include "consumers/device_source.h"
#include "consumers/nt/simulated_system.h"
#include "consumers/event_stream.h"
#include "tests/kernel_port/driver_test_support.h"

namespace sluice::test {
namespace {

constexpr int64_t second = 10'000'000;  // ticks of the simulated counter
constexpr int64_t hour = 3600 * second;
constexpr auto patience = std::chrono::seconds(60);

bool is_of_stream(const received& record) { return (record.flags & batch_flag_stream) != 0; }

// Every record of a stream: times never decrease but for late ones.
void expect_rising(const std::vector<received>& records) {
  uint64_t last = 0;
  for (const received& record : records) {
    if ((record.flags & (batch_flag_late | batch_flag_figures)) != 0) continue;
    EXPECT_GE(record.time, last);
    last = std::max(last, record.time);
  }
}

TEST(driver_clock, after_a_step_back_of_an_hour_events_are_delivered_at_once_behind_an_epoch_record) {
  loaded_machine on({.counter_ahead = 2 * hour});
  client reader(on.machine);
  sim::load_image({.base = 1});
  std::vector<received> records = reader.drain();
  on.machine.move_counter(-hour);
  sim::load_image({.base = 2});
  sim::load_image({.base = 3});
  // No flush: the worker is woken, and nothing waits for the clock. It would wait for an hour.
  while (of_type(records, event_type_image_load).size() < 3) ASSERT_EQ(reader.read(records, patience), STATUS_SUCCESS);
  const auto epochs = of_type(records, record_type_epoch);
  ASSERT_EQ(epochs.size(), 1u);
  EXPECT_TRUE(is_of_stream(epochs[0]));
  const auto epoch = epochs[0].as<epoch_payload>();
  EXPECT_EQ(epoch.epoch, 1u);
  const auto loads = of_type(records, event_type_image_load);
  const auto place = [&](auto matches) {
    return std::find_if(records.begin(), records.end(), matches) - records.begin();
  };
  const auto epoch_at = place([](const received& r) { return r.type == record_type_epoch; });
  const auto second_at = place([](const received& r) {
    return r.type == event_type_image_load && r.as<image_load_payload>().base == 2;
  });
  EXPECT_LT(epoch_at, second_at);
  EXPECT_GE(loads[1].time - epoch.offset, epoch.first_counter);
  EXPECT_GT(static_cast<int64_t>(loads[0].time - (loads[1].time - epoch.offset)), hour / 2) << "the counter went back";
  expect_rising(records);
  const auto clock = reader.capabilities();
  EXPECT_EQ(clock.clock_epoch, 1u);
  EXPECT_EQ(clock.clock_offset, epoch.offset);
  protocol::statistics_header header{};
  const auto rows = reader.statistics(&header);
  EXPECT_EQ(header.late_records, 0u);
  EXPECT_EQ(sum_of(rows, event_type_image_load).committed, 3u);
}

TEST(driver_clock, the_epoch_brings_an_anchor_and_utc_goes_on) {
  loaded_machine on({.counter_ahead = 2 * hour});
  device_source source(simulated_system(on.machine, client::pid));
  event_stream stream(source);
  std::vector<uint64_t> loaded_at;
  const auto read_until = [&](size_t count) {
    while (loaded_at.size() < count) {
      const decoded_event* event = stream.next(patience);
      ASSERT_NE(event, nullptr);
      if (!std::holds_alternative<image_load_event>(event->body)) continue;
      const auto utc = stream.clock().utc(event->time);
      ASSERT_TRUE(utc);
      loaded_at.push_back(*utc);
    }
  };
  LARGE_INTEGER before, after;
  KeQuerySystemTime(&before);
  sim::load_image({.base = 1});
  read_until(1);
  on.machine.move_counter(-hour);
  sim::load_image({.base = 2});
  read_until(2);
  on.machine.move_counter(-hour / 2);
  sim::load_image({.base = 3});
  read_until(3);
  KeQuerySystemTime(&after);
  for (const uint64_t utc : loaded_at) {
    EXPECT_GE(utc + second, static_cast<uint64_t>(before.QuadPart)) << "an hour off, or right";
    EXPECT_LE(utc, static_cast<uint64_t>(after.QuadPart) + second);
  }
  EXPECT_EQ(stream.account().check(source.statistics(), nullptr), std::vector<std::string>());
}

// Several CPUs write without pause; the counter goes back and forward all the time, and stands still now and then.
TEST(driver_clock, steps_under_load_lose_nothing_and_stop_nothing) {
  constexpr uint32_t cpus = 4;
  constexpr uint32_t steps = 12;
  constexpr uint32_t marker = 99;  // pid of what this thread loads
  loaded_machine on({.processors = cpus, .counter_ahead = 1000 * hour});
  device_source source(simulated_system(on.machine, client::pid));
  event_stream stream(source);
  std::atomic<bool> stop{false};
  std::vector<std::thread> writers;
  for (uint32_t cpu = 0; cpu < cpus; ++cpu) {
    writers.emplace_back([&, cpu] {
      const sim::activity as(on.machine, cpu, 100, 200 + cpu);
      for (uint64_t base = 1; !stop.load(std::memory_order_relaxed); ++base) {
        sim::load_image({.pid = cpu, .base = base});
        std::this_thread::yield();
      }
    });
  }
  std::map<uint64_t, uint64_t> last_of;  // by CPU
  uint64_t loads = 0;
  uint64_t lost = 0;
  uint64_t last_time = 0;
  uint32_t last_epoch = 0;
  const auto take = [&](const decoded_event& event) {
    if (!event.late) {
      EXPECT_GE(event.time, last_time);
      last_time = std::max(last_time, event.time);
    }
    if (const auto* epoch = std::get_if<epoch_event>(&event.body)) {
      EXPECT_EQ(epoch->epoch, last_epoch + 1);
      last_epoch = epoch->epoch;
    } else if (const auto* loss = std::get_if<loss_event>(&event.body)) {
      lost += loss->since_load ? 0 : loss->events;
    } else if (const auto* load = std::get_if<image_load_event>(&event.body)) {
      ++loads;
      EXPECT_GT(*load->base, last_of[*load->pid]) << "a CPU's events keep their order";
      last_of[*load->pid] = *load->base;
    }
  };
  uint32_t back = 0;
  const auto read_loads = [&](uint64_t more) {
    for (const uint64_t until = loads + more; loads < until;) {
      const decoded_event* event = stream.next(patience);
      ASSERT_NE(event, nullptr) << "the stream stands still after " << loads << " events, in epoch " << last_epoch;
      take(*event);
    }
  };
  // What came before the next step has been looked at: its epoch has begun.
  const auto read_epoch = [&] {
    for (uint64_t taken = 0; last_epoch != back; ++taken) {
      ASSERT_LT(taken, 1'000'000u) << "more than the rings hold, and no epoch " << back;
      const decoded_event* event = stream.next(patience);
      ASSERT_NE(event, nullptr) << "no epoch " << back;
      take(*event);
    }
  };
  // A pass has seen the counter as it is now: a record that is written now has been delivered. Without that two steps could
  // count as one (pipeline/epoch.h): on a busy machine nothing may have run between them. A mark may be dropped: another one.
  uint64_t marks = 0;
  const auto read_mark = [&] {
    for (const uint64_t first = marks + 1; last_of[marker] < first && !testing::Test::HasFatalFailure();) {
      sim::load_image({.pid = marker, .base = ++marks});
      read_loads(20);
    }
  };
  for (uint32_t step = 0; step < steps && !testing::Test::HasFatalFailure(); ++step) {
    read_loads(200);
    read_epoch();
    read_mark();
    switch (step % 4) {
      case 0: on.machine.move_counter(-hour); ++back; break;
      case 1: on.machine.move_counter(hour / 2); break;
      case 2: on.machine.move_counter(-20 * second); ++back; break;
      case 3:
        on.machine.stop_counter();
        sim::load_image({.pid = marker, .base = ++marks});
        on.machine.run_counter();
        break;
    }
  }
  if (!testing::Test::HasFatalFailure()) read_loads(200);
  if (!testing::Test::HasFatalFailure()) read_epoch();
  stop = true;
  for (std::thread& writer : writers) writer.join();
  if (testing::Test::HasFatalFailure()) return;
  for (const decoded_event* event; !stream.account().drained(source.statistics());) {
    source.flush();
    event = stream.next(patience);
    ASSERT_NE(event, nullptr);
    do take(*event);
    while ((event = stream.next(std::chrono::nanoseconds(0))) != nullptr);
  }
  EXPECT_EQ(last_epoch, back) << "each step back that a reader can know of is an epoch";
  EXPECT_EQ(stream.account().check(source.statistics(), nullptr), std::vector<std::string>());
}

// A reservation is open when the clock steps back: what is older comes first, and it holds nothing back past its limit.
TEST(driver_clock, a_reservation_left_open_across_a_step_is_reported_and_gives_way) {
  loaded_machine on({.counter_ahead = 2 * hour, .service_parameters = {{u"Sluice", u"OverdueMilliseconds", 50}}});
  client reader(on.machine);
  std::vector<received> records = reader.drain();
  kernel_record open{};
  uint32_t cpu = 0;
  channel& events = sensor_under_test->events();
  KeEnterCriticalRegion();
  ASSERT_EQ(events.reserve(first_own_type, 1, 8, open, cpu), reserve_status::ok);
  on.machine.move_counter(-hour);
  sim::load_image({.base = 2});
  while (of_type(records, event_type_image_load).empty() || of_type(records, record_type_overdue).empty()) {
    ASSERT_EQ(reader.read(records, patience), STATUS_SUCCESS);
  }
  events.close(open, record_state::committed, cpu, first_own_type);
  KeLeaveCriticalRegion();
  while (of_type(records, first_own_type).empty()) ASSERT_EQ(reader.read(records, patience), STATUS_SUCCESS);
  const received late = of_type(records, first_own_type)[0];
  EXPECT_NE(late.flags & batch_flag_late, 0);
  EXPECT_LT(late.time, of_type(records, record_type_epoch).at(0).time) << "its time is of its own epoch";
  expect_rising(records);
}

TEST(driver_clock, a_small_step_back_is_waited_for) {
  loaded_machine on;
  client reader(on.machine);
  for (uint32_t i = 1; i <= 50; ++i) {
    sim::load_image({.base = i});
    on.machine.move_counter(-second / 1000);
  }
  std::vector<received> records;
  while (of_type(records, event_type_image_load).size() < 50) ASSERT_EQ(reader.read(records, patience), STATUS_SUCCESS);
  expect_rising(records);
}

// UTC of a load that is raised now, as a client sees it.
struct utc_reader {
  explicit utc_reader(loaded_machine& on) : on_(on), source_(simulated_system(on.machine, client::pid)), stream_(source_) {}

  uint64_t load() {
    const uint64_t base = ++base_;
    sim::load_image({.base = base});
    for (const auto limit = std::chrono::steady_clock::now() + patience; std::chrono::steady_clock::now() < limit;) {
      const decoded_event* event = stream_.next(patience);
      if (event == nullptr) continue;  // an empty batch: what drain() asked for can come later than what it read
      anchors += std::holds_alternative<anchor_event>(event->body);
      const auto* load = std::get_if<image_load_event>(&event->body);
      if (load != nullptr && load->base == base) return stream_.clock().utc(event->time).value_or(0);
    }
    ADD_FAILURE() << "the load did not come";
    return 0;
  }
  // Until an anchor has come: what follows it goes by it.
  void await_anchor() {
    for (const uint32_t before = anchors; anchors == before;) {
      const decoded_event* event = stream_.next(patience);
      ASSERT_NE(event, nullptr) << "no anchor came";
      anchors += std::holds_alternative<anchor_event>(event->body);
    }
  }
  // What is final now.
  void drain() {
    source_.flush();
    const decoded_event* event = stream_.next(patience);
    for (; event != nullptr; event = stream_.next(std::chrono::nanoseconds(0))) {
      anchors += std::holds_alternative<anchor_event>(event->body);
    }
  }
  uint32_t anchors = 0;

 private:
  loaded_machine& on_;
  device_source source_;
  event_stream stream_;
  uint64_t base_ = 0;
};

TEST(driver_clock, utc_follows_when_the_system_time_is_set_forward_and_back) {
  loaded_machine on;
  utc_reader reader(on);
  const uint64_t real = on.machine.system_time();
  EXPECT_GE(reader.load() + second / 10, real) << "the coarse clock of the machine is a tick behind at most";
  for (const int64_t days : {400, -30, 0}) {
    const uint64_t set = real + static_cast<uint64_t>(days * 24 * hour);
    on.machine.set_system_time(set);
    reader.await_anchor();  // nobody had to write an event for it
    const uint64_t seen = reader.load();
    EXPECT_GE(seen + second / 10, set) << days;
    EXPECT_LE(seen, on.machine.system_time() + second / 10) << days;
  }
}

TEST(driver_clock, an_anchor_comes_with_the_events_once_a_minute_has_passed) {
  loaded_machine on;
  utc_reader reader(on);
  (void)reader.load();
  reader.drain();
  const uint32_t at_start = reader.anchors;
  EXPECT_EQ(at_start, 1u);
  on.machine.move_counter(61 * second);
  reader.drain();
  EXPECT_EQ(reader.anchors, at_start) << "an idle system writes nothing";
  (void)reader.load();
  reader.await_anchor();
  for (int i = 0; i < 10; ++i) (void)reader.load();
  reader.drain();
  EXPECT_EQ(reader.anchors, at_start + 1) << "and then for another minute none";
  // The counter ran ahead of UTC by a minute: what follows the anchor goes by it.
  const uint64_t now = on.machine.system_time();
  EXPECT_LE(reader.load(), on.machine.system_time() + second / 10);
  EXPECT_GE(reader.load() + second / 10, now);
}

TEST(driver_clock, anchors_with_time_can_be_switched_off) {
  loaded_machine on({.service_parameters = {{u"Sluice", u"AnchorSeconds", 0}}});
  utc_reader reader(on);
  (void)reader.load();
  on.machine.move_counter(hour);
  for (int i = 0; i < 10; ++i) (void)reader.load();
  reader.drain();
  EXPECT_EQ(reader.anchors, 1u);
}

// The worker lets the margin pass before it sleeps, and the clock steps back meanwhile: the epoch begins in a batch that no record
// joins. The read must not wait for one: it ends when it is cancelled, if it has not ended with the epoch.
TEST(driver_clock, an_epoch_that_begins_while_the_worker_goes_to_sleep_holds_no_read_back) {
  constexpr uint32_t margin = 20'000;  // microseconds
  loaded_machine on({.counter_ahead = 1000 * hour, .service_parameters = {{u"Sluice", u"MarginMicroseconds", margin}}});
  client reader(on.machine);
  client other(on.machine);
  (void)reader.drain();
  for (int round = 0; round < 10; ++round) {
    std::atomic<bool> ended{false};
    std::thread reads([&] {
      std::vector<uint8_t> buffer(protocol::min_read_bytes);
      uint64_t bytes = 0;
      const NTSTATUS status = reader.file.read(buffer, bytes);
      EXPECT_TRUE(status == STATUS_SUCCESS || status == STATUS_CANCELLED) << status;
      ended.store(true);
    });
    (void)other.statistics();  // answered by the worker, on its way to sleep
    std::this_thread::sleep_for(std::chrono::microseconds(margin / 4));
    on.machine.move_counter(-hour);
    std::this_thread::sleep_for(std::chrono::microseconds(2 * margin));  // it sleeps, as a rule
    const auto until = std::chrono::steady_clock::now() + patience;
    while (!ended.load() && std::chrono::steady_clock::now() < until) {
      reader.file.cancel();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_TRUE(ended.load()) << "neither cancelled nor completed, in round " << round;
    while (!ended.load()) sim::load_image({.base = 1});  // brings it to an end all the same
    reads.join();
    if (HasFailure()) return;
  }
}

// The second callback is that for the system time (the first tells of CPUs): without it the driver loads all the same.
TEST(driver_clock, without_the_callback_the_driver_loads) {
  sim::machine machine({.processors = 1});
  const sim::activity starter(machine, 0, 4, 8);
  machine.fail_call(sim::machine::failure::callback_registration, 2);
  ASSERT_EQ(machine.load_driver("Sluice", &test_driver_entry), STATUS_SUCCESS);
  EXPECT_EQ(machine.in_use().callbacks, 1u);
  machine.set_system_time(machine.system_time() + static_cast<uint64_t>(hour));
  EXPECT_EQ(machine.unload_driver("Sluice"), STATUS_SUCCESS);
  EXPECT_EQ(machine.in_use().callbacks, 0u);
}

}  // namespace
}  // namespace sluice::test
