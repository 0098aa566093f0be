// Filters, seen from a client: rates and repeats, on a counter that moves when the test says so.
#include "tests/kernel_port/driver_registry_support.h"
#include "tests/kernel_port/filter_test_support.h"

namespace sluice::test {
namespace {

constexpr int64_t one_second = 10'000'000;  // ticks of the simulated counter

TEST(driver_filter, a_rate_lets_a_burst_through_and_then_so_many_a_second) {
  loaded_machine on;
  client reader(on.machine);
  on.machine.stop_counter();  // a second passes when the test says so
  set_filter(reader, {.type_rates = {{event_type_image_load, 0, {1, 5}, 0}}});
  for (int i = 0; i < 100; ++i) load(700, u"\\a.dll");
  EXPECT_EQ(filtered_because(reader, event_type_image_load, filter_reason::type_rate), 95u);
  on.machine.move_counter(2 * one_second);
  for (int i = 0; i < 100; ++i) load(700, u"\\a.dll");
  EXPECT_EQ(filtered_because(reader, event_type_image_load, filter_reason::type_rate), 95u + 98);
  on.machine.run_counter();
  EXPECT_EQ(of_type(reader.drain(), event_type_image_load).size(), 7u);
  start(1000, 500);
  EXPECT_EQ(of_type(reader.drain(), event_type_process_create).size(), 1u) << "other types have no bucket";
}

TEST(driver_filter, a_rate_per_process_gives_each_process_its_own_bucket) {
  loaded_machine on;
  client reader(on.machine);
  on.machine.stop_counter();
  set_filter(reader, {.process_rate_types = bit(event_type_image_load), .process_rate = {1, 3}});
  for (const uint32_t pid : {700u, 800u, 900u}) {
    on.starter.become(0, pid, pid + 4);
    for (int i = 0; i < 20; ++i) load(pid, u"\\a.dll");
  }
  on.machine.run_counter();
  const auto kept = pids_of(reader.drain(), event_type_image_load);
  for (const uint32_t pid : {700u, 800u, 900u}) EXPECT_EQ(std::count(kept.begin(), kept.end(), pid), 3) << pid;
  EXPECT_EQ(filtered_because(reader, event_type_image_load, filter_reason::process_rate), 3u * 17);
}

TEST(driver_filter, a_rate_holds_for_ends_of_processes_and_what_it_leaves_out_is_counted) {
  loaded_machine on;
  client reader(on.machine);
  on.machine.stop_counter();
  set_filter(reader, {.type_rates = {{event_type_process_exit, 0, {1, 3}, 0}}});
  for (uint32_t i = 0; i < 10; ++i) {
    start(1000 + 4 * i, 500);
    EXPECT_EQ(sim::exit_process(1000 + 4 * i, 0), STATUS_SUCCESS);
  }
  on.machine.run_counter();
  const auto records = reader.drain();
  EXPECT_EQ(pids_of(records, event_type_process_exit).size(), 3u);
  EXPECT_EQ(of_type(records, event_type_process_create).size(), 10u);
  EXPECT_EQ(filtered_because(reader, event_type_process_exit, filter_reason::type_rate), 7u);
}

TEST(driver_filter, a_repeat_is_what_has_the_same_key_fields) {
  loaded_machine on(with());
  client reader(on.machine);
  on.starter.become(0, 700, 704);
  constexpr uint32_t hour = max_repeat_window_ms;
  set_filter(reader, {.repeat_types = ~uint64_t{0}, .repeat_window_ms = hour});
  const auto repeats = [&](uint16_t type) { return filtered_because(reader, type, filter_reason::repeat); };

  load(700, u"\\a.dll");
  load(700, u"\\a.dll");
  load(700, u"\\b.dll");
  load(800, u"\\a.dll");
  EXPECT_EQ(repeats(event_type_image_load), 1u);

  const uint8_t one[] = {1}, two[] = {2};
  sim::registry_set_value({.key = key, .value = u"v", .data = one});
  sim::registry_set_value({.key = key, .value = u"v", .data = two});
  sim::registry_set_value({.key = key, .value = u"w", .data = one});
  sim::registry_set_value({.key = key, .value = u"v", .type = REG_BINARY, .data = one});
  EXPECT_EQ(repeats(event_type_registry_set_value), 0u);
  sim::registry_set_value({.key = key, .value = u"v", .data = two});
  sim::registry_set_value({.key = key, .value = u"v", .data = one});
  EXPECT_EQ(repeats(event_type_registry_set_value), 2u);
  on.starter.become(0, 800, 804);
  sim::registry_set_value({.key = key, .value = u"v", .data = one});
  EXPECT_EQ(repeats(event_type_registry_set_value), 2u) << "another process";
  on.starter.become(1, 700, 708);
  sim::registry_set_value({.key = key, .value = u"v", .data = one});
  EXPECT_EQ(repeats(event_type_registry_set_value), 2u) << "another CPU";

  start(1000, 500, u"\\x.exe", u"x -a");
  start(1100, 500, u"\\x.exe", u"x -b");
  start(1200, 500, u"\\x.exe", u"x -a");
  EXPECT_EQ(repeats(event_type_process_create), 1u);
  EXPECT_EQ(sim::create_thread(1000, 1004, 7), STATUS_SUCCESS);
  EXPECT_EQ(sim::create_thread(1000, 1008, 7), STATUS_SUCCESS);
  EXPECT_EQ(sim::create_thread(1000, 1012, 8), STATUS_SUCCESS);
  EXPECT_EQ(repeats(event_type_thread_create), 1u);
  EXPECT_EQ(sim::exit_process(1000, 0), STATUS_SUCCESS);
  EXPECT_EQ(sim::exit_process(1100, 0), STATUS_SUCCESS);
  EXPECT_EQ(repeats(event_type_process_exit), 0u);
}

TEST(driver_filter, a_repeat_after_the_window_is_kept) {
  loaded_machine on;
  client reader(on.machine);
  set_filter(reader, {.repeat_types = bit(event_type_image_load), .repeat_window_ms = 1000});
  on.machine.stop_counter();
  load(700, u"\\a.dll");
  on.machine.move_counter(one_second - 1);
  load(700, u"\\a.dll");
  EXPECT_EQ(filtered_because(reader, event_type_image_load, filter_reason::repeat), 1u);
  on.machine.move_counter(1);
  load(700, u"\\a.dll");
  on.machine.run_counter();
  EXPECT_EQ(of_type(reader.drain(), event_type_image_load).size(), 2u);
}

// What is filtered for another reason is not remembered as kept.
TEST(driver_filter, an_event_without_a_token_is_no_reason_to_suppress_the_next) {
  loaded_machine on;
  client reader(on.machine);
  on.machine.stop_counter();  // no bucket gains a token
  set_filter(reader, {.repeat_types = bit(event_type_image_load), .repeat_window_ms = max_repeat_window_ms,
                      .type_rates = {{event_type_image_load, 0, {1, 1}, 0}}});
  load(700, u"\\a.dll");
  load(700, u"\\b.dll");
  load(700, u"\\b.dll");
  EXPECT_EQ(filtered_because(reader, event_type_image_load, filter_reason::repeat), 0u);
  EXPECT_EQ(filtered_because(reader, event_type_image_load, filter_reason::type_rate), 2u);
  on.machine.run_counter();
}

TEST(driver_filter, own_events_are_judged_by_type_repeat_and_rate) {
  loaded_machine on;
  client reader(on.machine);
  channel& events = sensor_under_test->events();
  uint16_t first = 0, second = 0;
  ASSERT_EQ(sensor_under_test->types().register_type({"first", 1, nullptr, 0}, first), STATUS_SUCCESS);
  ASSERT_EQ(sensor_under_test->types().register_type({"second", 1, nullptr, 0}, second), STATUS_SUCCESS);
  const uint32_t payload[] = {1, 2, 3};
  set_filter(reader, {.types = ~bit(first), .repeat_types = bit(second), .repeat_window_ms = max_repeat_window_ms});
  EXPECT_EQ(events.write(first, 1, payload, 12), reserve_status::filtered);
  EXPECT_EQ(events.write(second, 1, payload, 12), reserve_status::ok);
  EXPECT_EQ(events.write(second, 1, payload, 8), reserve_status::ok);
  {
    const dispatch_section at_dispatch_level;
    EXPECT_EQ(events.write(second, 1, payload, 12), reserve_status::filtered);
    EXPECT_EQ(events.write(second, 1, payload + 1, 8), reserve_status::ok);
  }
  kernel_record record;
  uint32_t cpu;
  EXPECT_EQ(events.reserve(first, 1, 8, record, cpu), reserve_status::filtered);
  on.machine.stop_counter();
  set_filter(reader, {.type_rates = {{second, 0, {1, 2}, 0}}});
  uint32_t kept = 0;
  for (int i = 0; i < 20; ++i) kept += events.write(second, 1, payload, 12) == reserve_status::ok;
  EXPECT_EQ(kept, 2u);
  on.machine.run_counter();
  const auto records = reader.drain();
  EXPECT_EQ(of_type(records, first).size(), 0u);
  EXPECT_EQ(of_type(records, second).size(), 3u + kept);
  EXPECT_EQ(filtered_because(reader, first, filter_reason::type), 2u);
  EXPECT_EQ(filtered_because(reader, second, filter_reason::type_rate), 20u - kept);
}

}  // namespace
}  // namespace sluice::test
