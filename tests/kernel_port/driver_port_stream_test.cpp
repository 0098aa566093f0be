// What several clients get: all of it, or an exact account of what they missed.
#include <set>
#include <tuple>

#include "tests/kernel_port/driver_port_support.h"

namespace sluice::test {
namespace {

using identity = std::tuple<uint16_t, uint8_t, uint64_t>;  // cpu, lane, position

identity identity_of(const received& record) { return {record.cpu, record.lane, record.position}; }

void expect_same(const std::vector<received>& left, const std::vector<received>& right) {
  ASSERT_EQ(left.size(), right.size());
  for (size_t i = 0; i < left.size(); ++i) {
    ASSERT_EQ(identity_of(left[i]), identity_of(right[i])) << i;
    EXPECT_EQ(left[i].type, right[i].type);
    EXPECT_EQ(left[i].time, right[i].time);
    EXPECT_EQ(left[i].flags, right[i].flags);
    EXPECT_EQ(left[i].payload, right[i].payload);
  }
}

// By a thread of its own.
void load_images(sim::machine& machine, uint32_t cpu, uint64_t count) {
  std::thread load([&] {
    sim::activity here(machine, cpu, 900 + cpu, 950 + cpu);
    for (uint64_t i = 0; i < count; ++i) sim::load_image({.base = i, .path = u"\\Device\\HarddiskVolume1\\some.dll"});
  });
  load.join();
}

struct driver_port_stream : testing::Test {
  loaded_machine on;
};

TEST_F(driver_port_stream, events_over_the_port_are_those_of_the_device) {
  client device(on.machine);
  port_client port(on.machine);
  (void)device.drain();  // it is a reader from here on; what was before is the first client's
  (void)port.drain();
  std::thread first([&] { load_images(on.machine, 0, 500); });
  std::thread second([&] { load_images(on.machine, 1, 500); });
  first.join();
  second.join();
  const auto by_port = of_rings(port.drain());
  const auto by_device = of_rings(device.drain());
  EXPECT_EQ(of_type(by_port, event_type_image_load).size(), 1000u);
  expect_same(by_port, by_device);
}

TEST_F(driver_port_stream, the_device_is_served_directly_again_when_the_port_has_no_client) {
  client device(on.machine);
  (void)device.drain();
  {
    port_client port(on.machine);
    sim::load_image({.base = 1});
    EXPECT_EQ(of_type(port.drain(), event_type_image_load).size(), 1u);
    sim::load_image({.base = 2});
    EXPECT_EQ(of_type(port.drain(), event_type_image_load).size(), 1u);
    EXPECT_EQ(port.clients().size(), 2u) << "the device's reader has a queue";
  }
  sim::load_image({.base = 3});
  const auto images = of_type(device.drain(), event_type_image_load);
  ASSERT_EQ(images.size(), 3u) << "what waited in its queue comes first";
  for (uint64_t i = 0; i < 3; ++i) EXPECT_EQ(images[i].as<image_load_payload>().base, i + 1);
  sim::load_image({.base = 4});
  EXPECT_EQ(of_type(device.drain(), event_type_image_load).size(), 1u);
  // Once it has had what waited, it has no queue any more.
  protocol::clients_header header{};
  uint64_t bytes = 0;
  EXPECT_TRUE(wait_until([&] {
    return device.file.control(protocol::code_clients, {}, {reinterpret_cast<uint8_t*>(&header), sizeof header}, bytes) ==
           STATUS_SUCCESS;
  }));
  EXPECT_EQ(header.row_count, 0u);
}

// The answer to an earlier flush is none to a later one, though its read is the one at hand.
TEST_F(driver_port_stream, a_flush_of_the_device_beside_others_covers_all_that_came_before_it) {
  class client device(on.machine);
  (void)device.drain();
  port_client other(on.machine);
  std::atomic<bool> stop{false};
  std::thread reads([&] {
    while (!stop) {
      std::vector<received> records;
      (void)other.read(records, std::chrono::milliseconds(1));
    }
  });
  for (uint64_t i = 0; i < 3000; ++i) {
    for (uint64_t image = 0; image < 3; ++image) sim::load_image({.base = 3 * i + image});
    const auto images = of_type(device.drain(), event_type_image_load);
    EXPECT_EQ(images.size(), 3u) << i;
    if (images.size() != 3) break;
  }
  stop = true;
  reads.join();
}

TEST_F(driver_port_stream, a_single_client_is_never_skipped_the_rings_hold_what_it_does_not_take) {
  port_client port(on.machine);
  load_images(on.machine, 0, 30000);  // more than its queue and one ring hold
  std::vector<received> records = port.drain();
  EXPECT_EQ(port.row().lost, 0u);
  uint64_t announced = 0;
  for (const received& record : records) {
    EXPECT_EQ(record.flags & batch_flag_client_loss, 0);
    if (record.type == record_type_loss && (record.flags & batch_flag_figures) != 0) {
      announced = record.as<loss_payload>().events;
    }
  }
  // The load may have found room again and again while the queue was filled: records of gaps tell of those.
  for (const received& record : of_rings(records)) {
    if (record.type == record_type_loss) announced = std::max<uint64_t>(announced, record.as<loss_payload>().events);
  }
  EXPECT_GT(announced, 0u);
  class client device(on.machine);
  const account_row row = sum_of(device.statistics(), event_type_image_load);
  EXPECT_EQ(row.attempted, 30000u);
  EXPECT_TRUE(row.balances());
  EXPECT_EQ(row.committed, of_type(records, event_type_image_load).size());
}

// No flush, and no event behind it.
TEST_F(driver_port_stream, what_waits_in_the_rings_flows_on_as_soon_as_there_is_room) {
  port_client port(on.machine);
  load_images(on.machine, 0, 30000);
  class client device(on.machine);
  const uint64_t committed = sum_of(device.statistics(), event_type_image_load).committed;
  std::vector<received> records;
  for (uint64_t images = 0; images < committed;) {
    records.clear();
    ASSERT_EQ(port.read(records), STATUS_SUCCESS);
    images += of_type(records, event_type_image_load).size();
  }
}

TEST_F(driver_port_stream, a_slow_client_loses_for_itself_and_is_told_what) {
  constexpr uint64_t offered = 20000;
  port_client slow(on.machine, wants(~uint64_t{0}, 0, "slow"));
  port_client fast(on.machine, wants(~uint64_t{0}, 0, "fast"));
  std::vector<received> by_fast;
  for (uint64_t round = 0; round < 40; ++round) {
    load_images(on.machine, 0, offered / 40);
    // The load waits for the fast client, so that the rings drop nothing: only the slow one's queue overflows.
    for (received& record : fast.drain()) by_fast.push_back(std::move(record));
  }
  EXPECT_EQ(of_type(by_fast, event_type_image_load).size(), offered);
  EXPECT_EQ(client_losses(by_fast, event_type_image_load), 0u);

  const std::vector<received> by_slow = slow.drain();
  const uint64_t missed = client_losses(by_slow, event_type_image_load);
  EXPECT_GT(missed, 0u);
  EXPECT_EQ(of_type(by_slow, event_type_image_load).size() + missed, offered);

  // The gap is announced where it is: in front of it everything, behind it nothing is missing.
  sim::load_image({.base = 1});
  const auto after = slow.drain();
  EXPECT_EQ(of_type(after, event_type_image_load).size(), 1u);
  EXPECT_EQ(client_losses(after, event_type_image_load), 0u);
  const protocol::client_row row = slow.row("slow");
  EXPECT_GE(row.lost, missed);  // an anchor may have been lost, too
  expect_balance(row);
  EXPECT_EQ(fast.row("fast").lost, 0u);

  // R3: what one client lost is nobody else's loss, and none of the rings'.
  class client device(on.machine);
  const account_row account = sum_of(device.statistics(), event_type_image_load);
  EXPECT_EQ(account.attempted, offered + 1);
  EXPECT_EQ(account.committed, offered + 1);
  EXPECT_TRUE(account.balances());
}

TEST_F(driver_port_stream, a_gap_stands_where_the_records_are_missing) {
  port_client slow(on.machine, wants(~uint64_t{0}, 0, "slow"));
  port_client fast(on.machine, wants(~uint64_t{0}, 0, "fast"));
  (void)slow.drain();  // from here on both are offered the same
  (void)fast.drain();
  std::vector<received> by_fast;
  for (uint32_t round = 0; round < 20; ++round) {
    load_images(on.machine, 0, 500);
    for (received& record : fast.drain()) by_fast.push_back(std::move(record));
  }
  std::vector<received> by_slow = slow.drain();
  load_images(on.machine, 0, 3);
  for (received& record : fast.drain()) by_fast.push_back(std::move(record));
  for (received& record : slow.drain()) by_slow.push_back(std::move(record));
  const auto all = of_rings(by_fast);
  size_t at = 0;
  uint64_t gaps = 0;
  for (const received& record : by_slow) {
    if ((record.flags & batch_flag_figures) != 0) continue;
    if ((record.flags & batch_flag_client_loss) != 0) {
      at += record.as<loss_payload>().events;
      ++gaps;
      EXPECT_EQ(record.cpu, batch_no_cpu);
      continue;
    }
    ASSERT_LT(at, all.size());
    ASSERT_EQ(identity_of(record), identity_of(all[at])) << at;
    ++at;
  }
  EXPECT_EQ(at, all.size());
  EXPECT_GE(gaps, 1u);
}

// Clients come, go, sleep and read while events are made on both CPUs: each one's account is exact.
TEST(driver_port_load, every_account_is_exact_while_clients_come_and_go) {
  loaded_machine on({.seed = 7});
  class client device(on.machine);
  std::atomic<bool> done{false};
  std::vector<received> by_witness;
  port_client witness(on.machine, wants(~uint64_t{0}, 0, "witness"));
  std::thread reader([&] {
    while (!done) (void)witness.read(by_witness, std::chrono::milliseconds(20));
  });
  std::thread visitor([&] {
    for (uint32_t i = 0; i < 12; ++i) {
      port_client guest(on.machine, wants(~uint64_t{0}, 0, "guest"), 4200 + i);
      std::vector<received> records;
      for (uint32_t n = 0; n < i % 4; ++n) (void)guest.read(records, std::chrono::milliseconds(5));
      if (i % 3 == 0) {
        for (received& record : guest.drain()) records.push_back(std::move(record));
        std::set<identity> seen;
        for (const received& record : of_rings(records)) EXPECT_TRUE(seen.insert(identity_of(record)).second);
      }
    }
  });
  std::thread first([&] { load_images(on.machine, 0, 1500); });
  std::thread second([&] { load_images(on.machine, 1, 1500); });
  first.join();
  second.join();
  visitor.join();
  done = true;
  reader.join();
  for (received& record : witness.drain()) by_witness.push_back(std::move(record));

  const auto rows = device.statistics();
  const account_row account = sum_of(rows, event_type_image_load);
  EXPECT_EQ(account.attempted, 3000u);
  EXPECT_TRUE(account.balances());
  std::set<identity> seen;
  for (const received& record : of_rings(by_witness)) EXPECT_TRUE(seen.insert(identity_of(record)).second);
  const uint64_t got = of_type(by_witness, event_type_image_load).size();
  EXPECT_EQ(got + client_losses(by_witness, event_type_image_load), account.committed);
  const protocol::client_row row = witness.row("witness");
  uint64_t lost = 0;
  for (const received& record : by_witness) {
    if (record.flags & batch_flag_client_loss) lost += record.as<loss_payload>().events;
  }
  EXPECT_EQ(row.lost, lost);
  EXPECT_EQ(row.delivered, of_rings(by_witness).size());
  expect_balance(row);
}

}  // namespace
}  // namespace sluice::test
