// What happens on the simulated machine, as events of the driver.
#include "producers/first_threads.h"
#include "tests/kernel_port/driver_test_support.h"

namespace sluice::test {
namespace {

sim::process_creation notepad() {
  sim::process_creation creation;
  creation.pid = 1000;
  creation.parent_pid = 500;
  creation.image_path = u"\\Device\\HarddiskVolume3\\Windows\\notepad.exe";
  creation.command_line = u"notepad.exe \"C:\\a file.txt\"";
  return creation;
}

TEST(driver_events, a_process_creation_arrives_with_its_strings_and_context) {
  loaded_machine on;
  client reader(on.machine);
  on.starter.become(1, 600, 604);
  ASSERT_EQ(sim::create_process(notepad()), STATUS_SUCCESS);
  on.starter.become(0, 4, 8);

  const auto events = of_type(reader.drain(), event_type_process_create);
  ASSERT_EQ(events.size(), 1u);
  const auto payload = events[0].as<process_create_payload>();
  EXPECT_EQ(events[0].cpu, 1u);
  EXPECT_EQ(payload.context.pid, 600u);
  EXPECT_EQ(payload.context.tid, 604u);
  EXPECT_EQ(payload.pid, 1000u);
  EXPECT_EQ(payload.parent_pid, 500u);
  EXPECT_EQ(payload.creating_pid, 600u);
  EXPECT_EQ(payload.creating_tid, 604u);
  EXPECT_NE(payload.start_key, 0u);
  EXPECT_EQ(payload.flags, process_flag_exact_image_path);
  EXPECT_EQ(events[0].text(payload.image_path), u"\\Device\\HarddiskVolume3\\Windows\\notepad.exe");
  EXPECT_EQ(events[0].text(payload.command_line), u"notepad.exe \"C:\\a file.txt\"");
  ASSERT_EQ(sim::exit_process(1000, 0), STATUS_SUCCESS);
}

TEST(driver_events, strings_that_the_kernel_does_not_give_are_marked_unavailable) {
  loaded_machine on;
  client reader(on.machine);
  sim::process_creation creation = notepad();
  creation.image_path.reset();
  creation.command_line.reset();
  creation.file_open_name_available = false;
  ASSERT_EQ(sim::create_process(creation), STATUS_SUCCESS);
  const auto events = of_type(reader.drain(), event_type_process_create);
  ASSERT_EQ(events.size(), 1u);
  const auto payload = events[0].as<process_create_payload>();
  EXPECT_EQ(payload.image_path.flags, string_flag_unavailable);
  EXPECT_EQ(payload.image_path.length, 0u);
  EXPECT_EQ(payload.command_line.flags, string_flag_unavailable);
  EXPECT_EQ(payload.flags & process_flag_exact_image_path, 0u);
  ASSERT_EQ(sim::exit_process(1000, 0), STATUS_SUCCESS);
}

TEST(driver_events, a_string_longer_than_the_bound_is_cut_and_keeps_its_original_length) {
  loaded_machine on;
  client reader(on.machine);
  sim::process_creation creation = notepad();
  creation.command_line = std::u16string(20000, u'x');
  ASSERT_EQ(sim::create_process(creation), STATUS_SUCCESS);
  const auto events = of_type(reader.drain(), event_type_process_create);
  ASSERT_EQ(events.size(), 1u);
  const auto payload = events[0].as<process_create_payload>();
  EXPECT_EQ(payload.command_line.flags, string_flag_truncated);
  EXPECT_EQ(payload.command_line.original_length, 40000u);
  EXPECT_LT(payload.command_line.length, 40000u);
  EXPECT_EQ(events[0].text(payload.command_line), std::u16string(payload.command_line.length / 2, u'x'));
  ASSERT_EQ(sim::exit_process(1000, 0), STATUS_SUCCESS);
}

TEST(driver_events, an_exit_carries_the_status_and_the_start_key_of_its_creation) {
  loaded_machine on;
  client reader(on.machine);
  ASSERT_EQ(sim::create_process(notepad()), STATUS_SUCCESS);
  ASSERT_EQ(sim::exit_process(1000, -7), STATUS_SUCCESS);
  ASSERT_EQ(sim::create_process(notepad()), STATUS_SUCCESS);  // the same pid again
  const auto records = reader.drain();
  const auto creates = of_type(records, event_type_process_create);
  const auto exits = of_type(records, event_type_process_exit);
  ASSERT_EQ(creates.size(), 2u);
  ASSERT_EQ(exits.size(), 1u);
  EXPECT_EQ(exits[0].as<process_exit_payload>().exit_status, -7);
  EXPECT_EQ(exits[0].as<process_exit_payload>().start_key, creates[0].as<process_create_payload>().start_key);
  EXPECT_NE(creates[0].as<process_create_payload>().start_key, creates[1].as<process_create_payload>().start_key);
  ASSERT_EQ(sim::exit_process(1000, 0), STATUS_SUCCESS);
}

TEST(driver_events, only_a_later_thread_from_outside_is_remote) {
  loaded_machine on;
  client reader(on.machine);
  ASSERT_EQ(sim::create_process(notepad()), STATUS_SUCCESS);
  ASSERT_EQ(sim::create_thread(1000, 1004, 0x7ff600001000), STATUS_SUCCESS);  // the first: always from outside
  on.starter.become(0, 1000, 1004);
  ASSERT_EQ(sim::create_thread(1000, 1008, 0x7ff600002000), STATUS_SUCCESS);  // its own
  on.starter.become(1, 600, 604);
  ASSERT_EQ(sim::create_thread(1000, 1012, 0x7ff600003000), STATUS_SUCCESS);  // remote
  on.starter.become(0, 4, 8);
  const auto events = of_type(reader.drain(), event_type_thread_create);
  ASSERT_EQ(events.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    const auto payload = events[i].as<thread_payload>();
    EXPECT_EQ(payload.tid, 1004 + 4 * i);
    EXPECT_EQ(payload.flags, i == 2 ? thread_flag_remote : 0u) << i;
    EXPECT_EQ(payload.start_address, 0x7ff600001000 + 0x1000 * i);
    EXPECT_LE(record_header_size + events[i].payload.size(), 64u);
  }
  EXPECT_EQ(events[2].as<thread_payload>().creator_pid, 600u);
  EXPECT_EQ(events[2].as<thread_payload>().creator_tid, 604u);
  ASSERT_EQ(sim::exit_process(1000, 0), STATUS_SUCCESS);
}

// The table of processes that have had no thread yet is small. With more of them at once, "remote" is said to be uncertain.
TEST(driver_events, more_processes_without_a_thread_than_are_remembered_make_remote_uncertain) {
  loaded_machine on;
  client reader(on.machine);
  constexpr uint32_t remembered = first_threads::slots, first = 1000;
  const auto pid = [](uint32_t nth) { return first + 4 * nth; };
  const auto add_thread = [&](uint32_t nth) { ASSERT_EQ(sim::create_thread(pid(nth), 100'000 + 4 * nth, 7), STATUS_SUCCESS); };
  for (uint32_t nth = 0; nth < remembered; ++nth) {
    sim::process_creation creation = notepad();
    creation.pid = pid(nth);
    ASSERT_EQ(sim::create_process(creation), STATUS_SUCCESS);
  }
  add_thread(1);
  sim::process_creation again = notepad();  // in the slot that has become free
  again.pid = pid(remembered);
  ASSERT_EQ(sim::create_process(again), STATUS_SUCCESS);
  add_thread(2);
  add_thread(remembered);
  sim::process_creation one_more = notepad();  // in that one
  one_more.pid = pid(remembered + 1);
  ASSERT_EQ(sim::create_process(one_more), STATUS_SUCCESS);
  one_more.pid = pid(remembered + 2);
  ASSERT_EQ(sim::create_process(one_more), STATUS_SUCCESS);
  one_more.pid = pid(remembered + 3);  // in none
  ASSERT_EQ(sim::create_process(one_more), STATUS_SUCCESS);
  add_thread(3);
  add_thread(remembered + 3);
  const auto events = of_type(reader.drain(), event_type_thread_create);
  ASSERT_EQ(events.size(), 5u);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(events[i].as<thread_payload>().flags, 0u) << i << ": a first thread, and known as one";
  EXPECT_EQ(events[4].as<thread_payload>().pid, pid(remembered + 3));
  EXPECT_EQ(events[4].as<thread_payload>().flags, thread_flag_remote | thread_flag_remote_uncertain);
  for (uint32_t nth = 0; nth < remembered + 4; ++nth) ASSERT_EQ(sim::exit_process(pid(nth), 0), STATUS_SUCCESS);
}

TEST(driver_events, images_of_processes_and_drivers_arrive) {
  loaded_machine on;
  client reader(on.machine);
  ASSERT_EQ(sim::create_process(notepad()), STATUS_SUCCESS);
  sim::image_loading loading;
  loading.pid = 1000;
  loading.base = 0x7ff800000000;
  loading.size = 0x1f000;
  loading.signature_level = 6;
  loading.signature_type = 3;
  loading.machine_mismatch = true;
  loading.path = u"\\Device\\HarddiskVolume3\\Windows\\System32\\ntdll.dll";
  sim::load_image(loading);
  loading.pid = 0;
  loading.system_mode = true;
  loading.machine_mismatch = false;
  loading.path.reset();
  sim::load_image(loading);
  const auto events = of_type(reader.drain(), event_type_image_load);
  ASSERT_EQ(events.size(), 2u);
  const auto first = events[0].as<image_load_payload>();
  EXPECT_EQ(first.pid, 1000u);
  EXPECT_EQ(first.base, 0x7ff800000000u);
  EXPECT_EQ(first.size, 0x1f000u);
  EXPECT_EQ(first.flags, image_flag_machine_mismatch);
  EXPECT_EQ(first.signature_level, 6u);
  EXPECT_EQ(first.signature_type, 3u);
  EXPECT_EQ(events[0].text(first.path), u"\\Device\\HarddiskVolume3\\Windows\\System32\\ntdll.dll");
  const auto second = events[1].as<image_load_payload>();
  EXPECT_EQ(second.pid, 0u);
  EXPECT_EQ(second.flags, image_flag_system);
  EXPECT_EQ(second.path.flags, string_flag_unavailable);
  ASSERT_EQ(sim::exit_process(1000, 0), STATUS_SUCCESS);
}

TEST(driver_events, each_type_can_be_switched_off_and_on_while_running) {
  loaded_machine on;
  client reader(on.machine);
  const uint64_t all = reader.capabilities().types;
  ASSERT_EQ(reader.set_types(all & ~(uint64_t{1} << event_type_image_load)), STATUS_SUCCESS);
  sim::load_image({});
  ASSERT_EQ(reader.set_types(all), STATUS_SUCCESS);
  sim::load_image({});
  EXPECT_EQ(of_type(reader.drain(), event_type_image_load).size(), 1u);
  protocol::statistics_header header;
  const auto rows = reader.statistics(&header);
  EXPECT_EQ(header.switched_off, 1u);
  EXPECT_EQ(sum_of(rows, event_type_image_load).attempted, 1u);
}

TEST(driver_events, a_type_that_the_driver_cannot_produce_is_refused) {
  loaded_machine on;
  client reader(on.machine);
  EXPECT_EQ(reader.set_types(uint64_t{1} << 63), STATUS_NOT_SUPPORTED);
  EXPECT_EQ(reader.set_types(reader.capabilities().types, protocol::version + 1), STATUS_REVISION_MISMATCH);
}

// R3: attempted against the callbacks raised, committed against the records received; open by walking headers.
// One raise for all of them; the same account, the same order, the same filter and the same signal as one by one.
TEST(driver_events, own_events_of_one_section_arrive_in_their_order) {
  loaded_machine on;
  client reader(on.machine);
  uint16_t type = 0;
  ASSERT_EQ(sensor_under_test->types().register_type(sample_type, type), STATUS_SUCCESS);
  (void)reader.drain();
  constexpr uint64_t count = 100;
  {
    const dispatch_section section;
    for (uint64_t i = 0; i < count; ++i) {
      const sample_event event{i};
      EXPECT_EQ(sensor_under_test->events().write(section, type, 1, &event, sizeof event), reserve_status::ok);
    }
  }
  const auto records = of_type(reader.drain(), type);
  ASSERT_EQ(records.size(), count);
  for (uint64_t i = 0; i < count; ++i) EXPECT_EQ(records[i].as<sample_event>().value, i);
  EXPECT_EQ(sum_of(reader.statistics(), type).committed, count);
}

// The reader sleeps: a record of a section wakes it as any other does.
TEST(driver_events, an_own_event_of_a_section_wakes_the_reader) {
  loaded_machine on;
  client reader(on.machine);
  uint16_t type = 0;
  ASSERT_EQ(sensor_under_test->types().register_type(sample_type, type), STATUS_SUCCESS);
  (void)reader.drain();
  std::vector<received> records;
  std::thread reading([&] {
    while (of_type(records, type).empty() && reader.read(records) == STATUS_SUCCESS) {
    }
  });
  eventually([&] { return sensor_under_test->events().wake().after_close() == announcement::any_close; });
  {
    const dispatch_section section;
    const sample_event event{7};
    EXPECT_EQ(sensor_under_test->events().write(section, type, 1, &event, sizeof event), reserve_status::ok);
  }
  reading.join();
  EXPECT_EQ(of_type(records, type).size(), 1u);
}

TEST(driver_events, the_account_agrees_with_what_was_raised_and_what_was_received) {
  loaded_machine on;
  client reader(on.machine);
  for (uint32_t pid = 2000; pid < 2400; pid += 4) {
    on.starter.become(pid / 4 % 2, 600, 604);
    sim::process_creation creation = notepad();
    creation.pid = pid;
    ASSERT_EQ(sim::create_process(creation), STATUS_SUCCESS);
    ASSERT_EQ(sim::create_thread(pid, pid + 1, 0), STATUS_SUCCESS);
    sim::load_image({.pid = pid});
    ASSERT_EQ(sim::exit_process(pid, 0), STATUS_SUCCESS);
  }
  on.starter.become(0, 4, 8);
  const auto records = reader.drain();
  const auto rows = reader.statistics();
  const sim::raised_counts raised = sim::raised();
  const std::pair<uint16_t, uint64_t> expected[] = {{event_type_process_create, raised.process_create},
                                                    {event_type_process_exit, raised.process_exit},
                                                    {event_type_thread_create, raised.thread_create},
                                                    {event_type_thread_exit, raised.thread_exit},
                                                    {event_type_image_load, raised.image_load}};
  for (const auto& [type, count] : expected) {
    const account_row row = sum_of(rows, type);
    EXPECT_EQ(row.attempted, count) << type;
    EXPECT_GE(count, 100u) << type;
    EXPECT_EQ(row.committed, of_type(records, type).size()) << type;
    EXPECT_EQ(row.open, 0u);
    EXPECT_TRUE(row.balances());
  }
}

// M1, over two CPUs: one thread does one thing after another, on changing CPUs, and the stream tells it in that order.
TEST(driver_events, the_stream_keeps_causal_order_across_cpus) {
  loaded_machine on;
  client reader(on.machine);
  for (uint32_t i = 0; i < 500; ++i) {
    on.starter.become(i * 7 % 3 % 2, 600, 604);
    sim::load_image({.base = i});
  }
  on.starter.become(0, 4, 8);
  const auto events = of_type(reader.drain(), event_type_image_load);
  ASSERT_EQ(events.size(), 500u);
  for (uint32_t i = 1; i < events.size(); ++i) {
    EXPECT_LE(events[i - 1].time, events[i].time);
    // Within one tick of the clock two CPUs are ordered by number, not by cause.
    if (events[i - 1].time < events[i].time) {
      EXPECT_LT(events[i - 1].as<image_load_payload>().base, events[i].as<image_load_payload>().base);
    }
  }
}

TEST(driver_events, nothing_is_allocated_for_an_event) {
  loaded_machine on;
  const uint64_t before = on.machine.pool_allocations();
  for (uint32_t i = 0; i < 200; ++i) sim::load_image({.base = i});
  EXPECT_EQ(on.machine.pool_allocations(), before);
}

}  // namespace
}  // namespace sluice::test
