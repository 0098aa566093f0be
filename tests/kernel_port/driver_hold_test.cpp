// Before the first client: what happens waits for it in the rings, or, if the driver was told so, is not recorded.
#include "tests/kernel_port/driver_test_support.h"

namespace sluice::test {
namespace {

sim::machine_options with(std::vector<sim::service_parameter> parameters) {
  return {.service_parameters = std::move(parameters)};
}

std::vector<uint64_t> bases_of(const std::vector<received>& records) {
  std::vector<uint64_t> bases;
  for (const received& record : of_type(records, event_type_image_load)) {
    bases.push_back(record.as<image_load_payload>().base);
  }
  return bases;
}

TEST(driver_hold, what_happened_before_the_first_client_waits_for_it_in_order) {
  loaded_machine on;
  for (uint64_t i = 0; i < 500; ++i) {
    on.starter.migrate(i % 2);
    sim::load_image({.base = i});
    on.machine.move_counter(1);  // within one tick CPUs are ordered by number
  }
  client reader(on.machine);
  const std::vector<uint64_t> bases = bases_of(reader.drain());
  ASSERT_EQ(bases.size(), 500u);
  for (uint64_t i = 0; i < bases.size(); ++i) EXPECT_EQ(bases[i], i);
  EXPECT_EQ(sum_of(reader.statistics(), event_type_image_load).dropped_total(), 0u);
  on.starter.migrate(0);
}

// Discard mode: the oldest wait, the newest are dropped; the LOSS record stands where they are missing.
TEST(driver_hold, of_more_than_the_rings_hold_the_oldest_wait_and_the_rest_is_announced_behind_them) {
  loaded_machine on(with({{u"Sluice", u"RingBytes", 8192}}));
  constexpr uint64_t before = 1000;
  for (uint64_t i = 0; i < before; ++i) sim::load_image({.base = i});
  client reader(on.machine);
  std::vector<received> records = reader.drain();
  const uint64_t waited = bases_of(records).size();
  ASSERT_GT(waited, 10u);
  ASSERT_LT(waited, before);
  sim::load_image({.base = before});
  for (received& record : reader.drain()) records.push_back(std::move(record));

  uint64_t next = 0, announced = 0;
  for (const received& record : records) {
    if (record.type == record_type_loss && (record.flags & batch_flag_figures) == 0) {
      EXPECT_EQ(next, waited) << "the gap stands behind what waited";
      announced += record.as<loss_payload>().events;
      next += announced;
    } else if (record.type == event_type_image_load) {
      EXPECT_EQ(record.as<image_load_payload>().base, next++);
    }
  }
  EXPECT_EQ(next, before + 1);
  EXPECT_EQ(waited + announced, before);
  EXPECT_TRUE(sum_of(reader.statistics(), event_type_image_load).balances());
}

// A client that goes away: the same for what happens until the next one comes.
TEST(driver_hold, what_happens_between_two_clients_waits_for_the_second) {
  loaded_machine on;
  {
    client first(on.machine);
    sim::load_image({.base = 1});
    EXPECT_EQ(bases_of(first.drain()), std::vector<uint64_t>{1});
  }
  sim::load_image({.base = 2});
  client second(on.machine);
  EXPECT_EQ(bases_of(second.drain()), std::vector<uint64_t>{2});
}

TEST(driver_hold, without_holding_nothing_is_recorded_before_the_first_client_reads) {
  loaded_machine on(with({{u"Sluice", u"HoldUntilAttach", 0}}));
  uint16_t type = 0;
  ASSERT_EQ(sensor_under_test->types().register_type(sample_type, type), STATUS_SUCCESS);
  EXPECT_FALSE(sensor_under_test->events().is_on(type));
  for (uint64_t i = 0; i < 10; ++i) sim::load_image({.base = i});
  client reader(on.machine);
  for (uint64_t i = 10; i < 20; ++i) sim::load_image({.base = i});  // it has not read yet
  protocol::statistics_header header;
  EXPECT_EQ(sum_of(reader.statistics(&header), event_type_image_load).attempted, 0u);
  EXPECT_EQ(header.switched_off, 21u) << "they are counted all the same";

  std::vector<received> records = reader.drain();
  EXPECT_TRUE(bases_of(records).empty());
  EXPECT_EQ(of_type(records, record_type_type_declaration).size(), 1u) << "what describes the stream is always there";
  sim::load_image({.base = 20});
  EXPECT_TRUE(sensor_under_test->events().is_on(type));
  EXPECT_EQ(bases_of(reader.drain()), std::vector<uint64_t>{20});
}

TEST(driver_hold, what_a_client_switched_off_before_it_read_stays_off) {
  loaded_machine on(with({{u"Sluice", u"HoldUntilAttach", 0}}));
  client reader(on.machine);
  ASSERT_EQ(reader.set_types(uint64_t{1} << event_type_process_exit), STATUS_SUCCESS);
  (void)reader.drain();
  sim::load_image({.base = 1});
  EXPECT_TRUE(bases_of(reader.drain()).empty());
  ASSERT_EQ(reader.set_types(uint64_t{1} << event_type_image_load), STATUS_SUCCESS);
  sim::load_image({.base = 2});
  EXPECT_EQ(bases_of(reader.drain()), std::vector<uint64_t>{2});
}

}  // namespace
}  // namespace sluice::test
