// The clock steps back while clients are connected: each is told, at its place.
#include <algorithm>

#include "tests/kernel_port/driver_port_support.h"

namespace sluice::test {
namespace {

constexpr int64_t hour = int64_t{3600} * 10'000'000;

void expect_rising(const std::vector<received>& records) {
  uint64_t last = 0;
  for (const received& record : records) {
    if ((record.flags & (batch_flag_late | batch_flag_figures)) != 0) continue;
    EXPECT_GE(record.time, last);
    last = std::max(last, record.time);
  }
}

// One epoch and its anchor, in front of the first event that came after the step.
void expect_told(const std::vector<received>& records, uint64_t base_after) {
  const auto is = [&](auto&& matches) { return std::find_if(records.begin(), records.end(), matches) - records.begin(); };
  const auto epochs = of_type(records, record_type_epoch);
  ASSERT_EQ(epochs.size(), 1u);
  EXPECT_EQ(epochs[0].as<epoch_payload>().epoch, 1u);
  const auto told = is([](const received& record) { return record.type == record_type_epoch; });
  ASSERT_LT(static_cast<size_t>(told) + 1, records.size());
  EXPECT_EQ(records[static_cast<size_t>(told) + 1].type, record_type_anchor);
  EXPECT_NE(records[static_cast<size_t>(told) + 1].flags & batch_flag_stream, 0);
  EXPECT_LT(told, is([&](const received& record) {
              return record.type == event_type_image_load && record.as<image_load_payload>().base == base_after;
            }));
  expect_rising(records);
}

TEST(driver_port_epoch, every_client_is_told_that_the_clock_has_stepped_back) {
  loaded_machine on({.counter_ahead = 2 * hour});
  client device(on.machine);
  port_client first(on.machine, wants(~uint64_t{0}, 0, "first"));
  port_client second(on.machine, wants(uint64_t{1} << event_type_image_load, 0, "second"));
  (void)device.drain();  // it is a reader from here on
  sim::load_image({.base = 1});
  std::vector<received> by_device = device.drain(), by_first = first.drain(), by_second = second.drain();
  on.machine.move_counter(-hour);
  sim::load_image({.base = 2});
  const auto read_on = [](auto& from, std::vector<received>& records) {
    ASSERT_TRUE(wait_until([&] {
      for (received& record : from.drain()) records.push_back(std::move(record));
      return of_type(records, event_type_image_load).size() >= 2;
    }));
  };
  read_on(device, by_device);
  read_on(first, by_first);
  read_on(second, by_second);
  expect_told(by_device, 2);
  expect_told(by_first, 2);
  expect_told(by_second, 2);
  EXPECT_EQ(of_rings(by_first).size(), first.row("first").delivered) << "what tells of the stream is no record of it";
}

TEST(driver_port_epoch, a_client_without_room_is_told_when_it_has_some) {
  loaded_machine on({.counter_ahead = 2 * hour});
  port_client slow(on.machine, wants(~uint64_t{0}, 0, "slow"));
  port_client fast(on.machine, wants(~uint64_t{0}, 0, "fast"));
  std::vector<received> by_fast;
  const auto load = [&](uint64_t base, uint32_t rounds) {
    for (uint32_t round = 0; round < rounds; ++round) {
      for (uint64_t i = 0; i < 200; ++i) sim::load_image({.base = base, .path = u"\\Device\\HarddiskVolume1\\some.dll"});
      for (received& record : fast.drain()) by_fast.push_back(std::move(record));
    }
  };
  load(1, 30);  // more than its queue holds
  ASSERT_GT(fast.row("slow").lost, 0u) << "the premise";
  on.machine.move_counter(-hour);
  load(2, 5);
  ASSERT_TRUE(wait_until([&] {
    for (received& record : fast.drain()) by_fast.push_back(std::move(record));
    return of_type(by_fast, event_type_image_load).size() == 7000;
  }));
  expect_told(by_fast, 2);
  std::vector<received> by_slow = slow.drain();
  load(3, 1);
  for (received& record : slow.drain()) by_slow.push_back(std::move(record));
  expect_told(by_slow, 3);
  EXPECT_EQ(of_type(by_slow, event_type_image_load).size() + client_losses(by_slow, event_type_image_load), 7200u);
}

}  // namespace
}  // namespace sluice::test
