// Own events, loss, reservations that never end.
#include "tests/kernel_port/driver_test_support.h"

namespace sluice::test {
namespace {

sim::machine_options small_rings() { return {.service_parameters = {{u"Sluice", u"RingBytes", 8192}}}; }

TEST(driver_stream, an_own_type_is_declared_before_its_first_event) {
  loaded_machine on;
  client reader(on.machine);
  uint16_t type = 0;
  ASSERT_EQ(sensor_under_test->types().register_type(sample_type, type), STATUS_SUCCESS);
  EXPECT_EQ(type, first_own_type);
  {
    const dispatch_section at_dispatch;
    const sample_event event{42};
    EXPECT_EQ(sensor_under_test->events().write(type, 1, &event, sizeof event), reserve_status::ok);
  }
  const auto records = reader.drain();
  size_t declared = records.size();
  size_t written = records.size();
  for (size_t i = 0; i < records.size(); ++i) {
    if (records[i].type == record_type_type_declaration) declared = i;
    if (records[i].type == type) written = i;
  }
  ASSERT_LT(declared, written);
  ASSERT_LT(written, records.size());
  EXPECT_EQ(records[written].as<sample_event>().value, 42u);
  EXPECT_STREQ(records[declared].as<type_declaration_payload>().name, "sample");
  EXPECT_NE(reader.capabilities().types >> type & 1, 0u);
}

TEST(driver_stream, types_that_no_client_could_read_are_refused) {
  loaded_machine on;
  uint16_t type = 0;
  own_type_registry& types = sensor_under_test->types();
  EXPECT_EQ(types.register_type({nullptr, 1, nullptr, 0}, type), STATUS_INVALID_PARAMETER);
  EXPECT_EQ(types.register_type({"", 1, nullptr, 0}, type), STATUS_INVALID_PARAMETER);
  EXPECT_EQ(types.register_type({"a name that is longer than thirty-two characters", 1, nullptr, 0}, type),
            STATUS_INVALID_PARAMETER);
  EXPECT_EQ(types.register_type({"bad\nname", 1, nullptr, 0}, type), STATUS_INVALID_PARAMETER);
  field_declaration odd = sample_fields[0];
  odd.size = 3;
  EXPECT_EQ(types.register_type({"odd", 1, &odd, 1}, type), STATUS_INVALID_PARAMETER);
  ASSERT_EQ(types.register_type(sample_type, type), STATUS_SUCCESS);
  EXPECT_EQ(types.register_type(sample_type, type), STATUS_OBJECT_NAME_COLLISION);
  for (uint32_t i = 1; i < own_type_registry::capacity; ++i) {
    const std::string name = "type" + std::to_string(i);
    ASSERT_EQ(types.register_type({name.c_str(), 1, nullptr, 0}, type), STATUS_SUCCESS);
  }
  EXPECT_EQ(types.register_type({"one-more", 1, nullptr, 0}, type), STATUS_INSUFFICIENT_RESOURCES);
}

// R4: what a full ring drops is announced, in front of the next event or from the published figures.
TEST(driver_stream, a_flood_without_a_reader_is_announced_exactly) {
  loaded_machine on(small_rings());
  client reader(on.machine);
  constexpr uint64_t offered = 5000;
  for (uint64_t i = 0; i < offered; ++i) sim::load_image({.base = i});
  auto records = reader.drain();
  uint64_t announced = 0;
  uint64_t figures = 0;
  for (const received& record : records) {
    if (record.type != record_type_loss) continue;
    const auto loss = record.as<loss_payload>();
    if (record.flags & batch_flag_figures) {
      figures = loss.events;
    } else {
      announced += loss.events;
    }
  }
  const uint64_t delivered = of_type(records, event_type_image_load).size();
  EXPECT_LT(delivered, offered);
  EXPECT_EQ(delivered + figures, offered) << "the figures tell of a gap that nothing follows";
  EXPECT_EQ(announced, 0u);

  sim::load_image({.base = offered});
  records = reader.drain();
  for (const received& record : records) {
    if (record.type == record_type_loss && (record.flags & batch_flag_figures) == 0) {
      announced += record.as<loss_payload>().events;
    }
  }
  EXPECT_EQ(announced, figures) << "the same gap, announced at its place";
  const account_row row = sum_of(reader.statistics(), event_type_image_load);
  EXPECT_EQ(row.attempted, offered + 1);
  EXPECT_EQ(row.committed, delivered + 1);
  EXPECT_EQ(row.dropped[static_cast<uint32_t>(drop_reason::ring_full)], announced);
  EXPECT_TRUE(row.balances());
}

// W1: the LOSS record is final as soon as the reservation is made, however long that stays open.
TEST(driver_stream, a_gap_that_a_reservation_announces_wakes_the_consumer) {
  loaded_machine on(small_rings());
  kernel_functions functions{};
  resolve_kernel_functions(functions);
  channel events;
  ASSERT_EQ(events.create(functions, {{4096, max_loss_record, 1024}, {4096, max_loss_record, 0}, 1, 0, 1024}), STATUS_SUCCESS);
  KEVENT wakes;
  KeInitializeEvent(&wakes, NotificationEvent, FALSE);
  events.set_signal(&wakes);
  events.wake().announce(announcement::any_close);
  kernel_record first{};
  kernel_record second{};
  uint32_t cpu = 0;
  ASSERT_EQ(events.reserve(first_own_type, 1, 8, first, cpu), reserve_status::ok);
  const std::vector<uint8_t> too_long(max_loss_record);
  ASSERT_EQ(events.write(first_own_type, 1, too_long.data(), max_loss_record), reserve_status::dropped);
  EXPECT_EQ(KeReadStateEvent(&wakes), 0) << "nothing is closed yet";
  ASSERT_EQ(events.reserve(first_own_type, 1, 8, second, cpu), reserve_status::ok);
  EXPECT_NE(KeReadStateEvent(&wakes), 0);
  events.close(first, record_state::discarded, cpu, first_own_type);
  events.close(second, record_state::discarded, cpu, first_own_type);
}

// R6: the flood of ordinary events does not take the part that is kept for critical ones.
TEST(driver_stream, critical_events_get_through_a_flood_of_ordinary_ones) {
  loaded_machine on(small_rings());
  client reader(on.machine);
  for (uint64_t i = 0; i < 5000; ++i) sim::load_image({.base = i});
  for (uint32_t i = 0; i < 5; ++i) ASSERT_EQ(sim::create_thread(4, 5000 + i, 0), STATUS_SUCCESS);
  EXPECT_EQ(of_type(reader.drain(), event_type_thread_create).size(), 5u);
  for (uint32_t i = 0; i < 5; ++i) ASSERT_EQ(sim::exit_thread(4, 5000 + i), STATUS_SUCCESS);
}

// A producer that never commits, ten times the ring's capacity of ordinary events, and critical ones: the critical ones
// arrive, the rest is accounted, and somebody says who it is.
TEST(driver_stream, a_reservation_that_never_ends_does_not_blind_its_cpu) {
  sim::machine_options options = small_rings();
  options.service_parameters.push_back({u"Sluice", u"OverdueMilliseconds", 20});
  loaded_machine on(options);
  client reader(on.machine);
  (void)reader.drain();
  channel& events = sensor_under_test->events();
  on.starter.become(0, 4242, 4243);
  auto stuck = std::make_unique<reservation>();
  ASSERT_TRUE(events.reserve_event(event_type_process_exit, sizeof(process_exit_payload), *stuck));

  // Reads until the others are done and the one that is stuck was reported, which may be later.
  std::atomic<bool> done{false};
  std::atomic<bool> reported{false};
  std::vector<received> records;
  std::thread consumer([&] {
    while (!done || !reported) {
      (void)reader.read(records, std::chrono::milliseconds(50));
      if (!reported) reported = !of_type(records, record_type_overdue).empty();
    }
  });
  uint32_t created = 0;
  std::thread others([&] {  // the stuck thread holds no CPU: others run on the same one
    sim::activity here(on.machine, 0, 4, 12);
    const uint64_t ordinary = 10 * 8192 / (record_header_size + sizeof(image_load_payload));
    for (uint64_t i = 0; i < ordinary; ++i) {
      sim::load_image({.base = i});
      if (i % 200 == 199) {
        EXPECT_EQ(sim::create_thread(4, 9000 + created, 0), STATUS_SUCCESS);
        ++created;
      }
    }
  });
  others.join();
  eventually([&] { return reported.load(); });
  done = true;
  consumer.join();
  for (received& record : reader.drain()) records.push_back(std::move(record));

  EXPECT_GE(created, 5u);
  EXPECT_EQ(of_type(records, event_type_thread_create).size(), created);
  const auto overdue = of_type(records, record_type_overdue);
  ASSERT_EQ(overdue.size(), 1u);
  EXPECT_EQ(overdue[0].as<overdue_payload>().pid, 4242u);
  EXPECT_EQ(overdue[0].as<overdue_payload>().tid, 4243u);
  EXPECT_EQ(overdue[0].as<overdue_payload>().type, event_type_process_exit);

  auto rows = reader.statistics();
  const account_row images = sum_of(rows, event_type_image_load);
  EXPECT_EQ(images.committed, of_type(records, event_type_image_load).size());
  EXPECT_GT(images.dropped[static_cast<uint32_t>(drop_reason::ring_full)], 0u);
  EXPECT_TRUE(images.balances());
  EXPECT_EQ(sum_of(rows, event_type_process_exit).open, 1u);

  stuck->commit();
  stuck.reset();
  const auto late = of_type(reader.drain(), event_type_process_exit);
  ASSERT_EQ(late.size(), 1u);
  EXPECT_EQ(late[0].flags & batch_flag_late, batch_flag_late);
  protocol::statistics_header header;
  rows = reader.statistics(&header);
  EXPECT_EQ(header.overdue_records, 1u);
  EXPECT_EQ(header.late_records, 1u);
  EXPECT_EQ(sum_of(rows, event_type_process_exit).open, 0u);
  on.starter.become(0, 4, 8);
  for (uint32_t i = 0; i < created; ++i) ASSERT_EQ(sim::exit_thread(4, 9000 + i), STATUS_SUCCESS);
}

// M3: a preempted producer holds back only what is newer than its own record; its commit lets everything go.
TEST(driver_stream, an_open_record_holds_back_only_what_is_newer) {
  loaded_machine on({.service_parameters = {{u"Sluice", u"OverdueMilliseconds", 0}}});  // for as long as it is open
  client reader(on.machine);
  sim::load_image({.base = 1});
  auto open = std::make_unique<reservation>();
  ASSERT_TRUE(sensor_under_test->events().reserve_event(event_type_process_exit, sizeof(process_exit_payload), *open));
  {
    std::thread newer([&] {
      sim::activity here(on.machine, 1, 700, 704);
      sim::load_image({.base = 2});
    });
    newer.join();
  }
  EXPECT_EQ(of_type(reader.drain(), event_type_image_load).size(), 1u);
  open->commit();
  const auto rest = reader.drain();
  ASSERT_EQ(rest.size(), 2u);
  EXPECT_EQ(rest[0].type, event_type_process_exit);
  EXPECT_EQ(rest[1].as<image_load_payload>().base, 2u);
}

TEST(driver_stream, a_reservation_that_goes_out_of_scope_is_discarded_and_counted) {
  loaded_machine on;
  client reader(on.machine);
  {
    reservation left;
    ASSERT_TRUE(sensor_under_test->events().reserve_event(event_type_process_exit, sizeof(process_exit_payload), left));
  }
  EXPECT_TRUE(of_type(reader.drain(), event_type_process_exit).empty());
  const account_row row = sum_of(reader.statistics(), event_type_process_exit);
  EXPECT_EQ(row.attempted, 1u);
  EXPECT_EQ(row.discarded, 1u);
}

TEST(driver_stream, an_event_longer_than_the_ring_allows_is_refused_and_counted) {
  loaded_machine on(small_rings());
  client reader(on.machine);
  uint16_t type = 0;
  ASSERT_EQ(sensor_under_test->types().register_type(sample_type, type), STATUS_SUCCESS);
  const std::vector<uint8_t> bytes(sensor_under_test->events().max_payload() + 1);
  EXPECT_EQ(sensor_under_test->events().write(type, 1, bytes.data(), static_cast<uint32_t>(bytes.size())),
            reserve_status::dropped);
  (void)reader.drain();
  const account_row row = sum_of(reader.statistics(), type);
  EXPECT_EQ(row.dropped[static_cast<uint32_t>(drop_reason::too_long)], 1u);
  EXPECT_TRUE(row.balances());
}

}  // namespace
}  // namespace sluice::test
