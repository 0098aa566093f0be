// The driver in overwrite mode (flight recorder): the newest events survive, and what did not is announced.
#include "tests/kernel_port/driver_test_support.h"

namespace sluice::test {
namespace {

sim::machine_options overwriting(uint32_t ring_bytes, uint32_t processors = 2) {
  return {.processors = processors, .service_parameters = {{u"Sluice", u"RingBytes", ring_bytes}, {u"Sluice", u"Mode", 1}}};
}

// What LOSS records told of as overwritten, of a type.
uint64_t announced_as_overwritten(const std::vector<received>& records, uint16_t type) {
  uint64_t events = 0;
  for (const received& record : of_type(records, record_type_loss)) {
    if ((record.flags & batch_flag_overwritten) == 0) continue;
    const auto loss = record.as<loss_payload>();
    EXPECT_EQ(loss.cause, static_cast<uint32_t>(loss_cause::overwritten));
    for (uint32_t i = 0; i < loss.entry_count; ++i) {
      loss_entry entry;
      std::memcpy(&entry, &record.payload[sizeof loss + i * sizeof entry], sizeof entry);
      if (entry.type == type) events += entry.events;
    }
  }
  return events;
}

TEST(driver_overwrite, a_mode_that_there_is_not_fails_the_start) {
  loaded_machine on({.service_parameters = {{u"Sluice", u"Mode", 2}}});
  EXPECT_EQ(on.status, STATUS_INVALID_PARAMETER);
}

// O3: delivered + announced as overwritten = committed.
TEST(driver_overwrite, the_first_client_gets_the_newest_and_is_told_what_went_before) {
  loaded_machine on(overwriting(8192));
  constexpr uint64_t offered = 5000;
  for (uint64_t i = 0; i < offered; ++i) sim::load_image({.base = i});
  client reader(on.machine);
  const std::vector<received> records = reader.drain();
  const std::vector<received> images = of_type(records, event_type_image_load);
  ASSERT_GT(images.size(), 10u);
  ASSERT_LT(images.size(), offered);
  uint64_t next = offered - images.size();
  for (const received& image : images) EXPECT_EQ(image.as<image_load_payload>().base, next++);
  EXPECT_EQ(announced_as_overwritten(records, event_type_image_load) + images.size(), offered);
  for (const received& record : records) {
    if (record.flags & batch_flag_overwritten) {
      EXPECT_LE(record.time, images.front().time) << "in front of the oldest that is left";
    }
  }
  const account_row row = sum_of(reader.statistics(), event_type_image_load);
  EXPECT_EQ(row.attempted, offered);
  EXPECT_EQ(row.committed, offered);
  EXPECT_EQ(row.dropped_total(), 0u);
  EXPECT_EQ(row.overwritten, offered - images.size());
  EXPECT_TRUE(row.balances());
}

// R6: a flood of ordinary events overwrites no critical one.
TEST(driver_overwrite, a_flood_does_not_wash_away_processes) {
  loaded_machine on(overwriting(8192));
  for (uint32_t i = 0; i < 10; ++i) sim::create_process({.pid = 5000 + 4 * i, .parent_pid = 4});
  for (uint64_t i = 0; i < 20000; ++i) sim::load_image({.base = i});
  client reader(on.machine);
  EXPECT_EQ(of_type(reader.drain(), event_type_process_create).size(), 10u);
  for (uint32_t i = 0; i < 10; ++i) sim::exit_process(5000 + 4 * i, 0);
}

// O1: nobody's record is overwritten while it is being filled; then the newest are dropped, as in discard mode.
TEST(driver_overwrite, an_open_reservation_keeps_its_place_and_the_newest_are_dropped) {
  loaded_machine on(overwriting(8192));
  client reader(on.machine);
  constexpr uint64_t offered = 1000;
  {
    reservation held;
    ASSERT_TRUE(sensor_under_test->events().reserve_event(event_type_image_load, sizeof(image_load_payload), held));
    for (uint64_t i = 0; i < offered; ++i) sim::load_image({.base = i});
    EXPECT_EQ(sum_of(reader.statistics(), event_type_image_load).open, 1u);
    held.discard();
  }
  std::vector<received> records = reader.drain();
  const uint64_t missed = announced_as_overwritten(records, event_type_image_load);
  const account_row row = sum_of(reader.statistics(), event_type_image_load);
  EXPECT_EQ(missed, 0u);
  EXPECT_EQ(row.discarded, 1u);
  EXPECT_GT(row.dropped[static_cast<uint32_t>(drop_reason::ring_full)], 0u);
  EXPECT_EQ(row.committed, of_type(records, event_type_image_load).size());
  EXPECT_EQ(row.attempted, offered + 1);
  EXPECT_TRUE(row.balances());
}

// R3 and M1 with a reader that is overtaken again and again, on several CPUs; statistics are asked for meanwhile.
TEST(driver_overwrite, under_load_everything_is_delivered_or_announced_and_the_accounts_balance) {
  constexpr uint32_t cpus = 3, each = 20000;
  loaded_machine on(overwriting(8192, cpus));
  client reader(on.machine);
  std::vector<std::thread> threads;
  std::atomic<uint32_t> running{cpus};
  for (uint32_t cpu = 0; cpu < cpus; ++cpu) {
    threads.emplace_back([&, cpu] {
      {
        sim::activity here(on.machine, cpu, 700, 704 + 4 * cpu);
        for (uint64_t i = 0; i < each; ++i) sim::load_image({.base = i});
      }
      --running;
    });
  }
  std::vector<received> records;
  while (running != 0) {
    for (received& record : reader.drain()) records.push_back(std::move(record));
    for (const protocol::statistics_row& row : reader.statistics()) EXPECT_TRUE(row.balances());
  }
  for (std::thread& thread : threads) thread.join();
  for (received& record : reader.drain()) records.push_back(std::move(record));

  const uint64_t delivered = of_type(records, event_type_image_load).size();
  const uint64_t missed = announced_as_overwritten(records, event_type_image_load);
  const account_row row = sum_of(reader.statistics(), event_type_image_load);
  EXPECT_EQ(row.attempted, uint64_t{cpus} * each);
  EXPECT_EQ(row.committed, delivered + missed);
  EXPECT_LE(missed, row.overwritten);
  EXPECT_TRUE(row.balances());
  uint64_t last_time = 0;
  std::vector<uint64_t> last(cpus, 0);
  for (const received& record : records) {
    if ((record.flags & (batch_flag_late | batch_flag_figures | batch_flag_stream)) == 0) {
      EXPECT_GE(record.time, last_time);
      last_time = record.time;
    }
    if (record.type != event_type_image_load) continue;
    const uint64_t base = record.as<image_load_payload>().base;
    if (base != 0) {
      EXPECT_GT(base, last[record.cpu]);
    }
    last[record.cpu] = base;
  }
}

}  // namespace
}  // namespace sluice::test
