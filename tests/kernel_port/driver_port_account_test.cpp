// No loss that nobody can see: what each client was offered, got and missed, and what became of clients that have left.
#include <algorithm>

#include "tests/kernel_port/driver_port_support.h"

namespace sluice::test {
namespace {

constexpr uint64_t bit(uint16_t type) { return uint64_t{1} << type; }

struct driver_port_account : testing::Test {
  loaded_machine on;

  // More than a queue and a ring hold together, by a thread of its own.
  void flood() {
    std::thread load([&] {
      sim::activity here(on.machine, 0, 900, 950);
      for (uint64_t i = 0; i < flood_size; ++i) sim::load_image({.base = i, .path = u"\\Device\\HarddiskVolume1\\some.dll"});
    });
    load.join();
  }
  static constexpr uint64_t flood_size = 30000;

  // What the rings of CPU 0 have dropped, as far as these records tell.
  static uint64_t told_dropped(const std::vector<received>& records) {
    uint64_t by_records = 0, by_figures = 0;
    for (const received& record : records) {
      if (record.type != record_type_loss || (record.flags & batch_flag_client_loss) != 0) continue;
      const uint64_t events = record.as<loss_payload>().events;
      if ((record.flags & batch_flag_figures) != 0) {
        by_figures = std::max(by_figures, events);
      } else {
        by_records += events;
      }
    }
    return std::max(by_records, by_figures);
  }
};

TEST_F(driver_port_account, a_client_that_lost_a_loss_record_learns_from_the_figures_what_the_rings_dropped) {
  port_client slow(on.machine, wants(~uint64_t{0}, 0, "slow"));
  port_client fast(on.machine, wants(~uint64_t{0}, 0, "fast"));
  flood();  // both queues and the ring are full
  std::vector<received> by_fast = fast.drain();
  flood();  // the first of them brings the LOSS record; the fast client takes it, the slow one has no room
  for (received& record : fast.drain()) by_fast.push_back(std::move(record));
  // Behind the last gap, too, so that LOSS records have told all of it: to the fast client.
  sim::load_image({.base = flood_size});
  for (received& record : fast.drain()) by_fast.push_back(std::move(record));
  const std::vector<received> by_slow = slow.drain();
  EXPECT_GE(client_losses(by_slow, record_type_loss), 1u) << "the premise: it has lost the record";

  class client device(on.machine);
  const account_row account = sum_of(device.statistics(), event_type_image_load);
  EXPECT_TRUE(account.balances());
  EXPECT_EQ(account.attempted, 2 * flood_size + 1);
  EXPECT_GT(account.dropped_total(), 0u);
  EXPECT_EQ(told_dropped(by_fast), account.dropped_total());
  EXPECT_EQ(told_dropped(by_slow), account.dropped_total());
  for (const auto* records : {&std::as_const(by_fast), &by_slow}) {
    EXPECT_EQ(of_type(*records, event_type_image_load).size() + client_losses(*records, event_type_image_load),
              account.committed);
  }
  expect_balance(slow.row("slow"));
  expect_balance(fast.row("fast"));
}

// Its LOSS records do not add up any more, and what it knows from figures is older than the next one.
TEST_F(driver_port_account, r4_a_client_that_lost_a_loss_record_can_add_up_what_the_rings_dropped_after_the_next_one_too) {
  port_client slow(on.machine, wants(~uint64_t{0}, 0, "slow"));
  port_client fast(on.machine, wants(~uint64_t{0}, 0, "fast"));
  flood();
  (void)fast.drain();
  flood();
  (void)fast.drain();
  std::vector<received> by_slow = slow.drain();
  ASSERT_GE(client_losses(by_slow, record_type_loss), 1u) << "the premise: it has lost the record";
  const uint64_t told_before = told_dropped(by_slow);

  class client device(on.machine);
  for (int again = 0; again < 3; ++again) {
    flood();
    // Both take what there is, and ask for nothing: no flush tells of the gap before its record does.
    std::vector<received> by_fast;
    bool some = true;
    while (some) {
      some = fast.read(by_fast, std::chrono::milliseconds(50)) == STATUS_SUCCESS;
      some |= slow.read(by_slow, std::chrono::milliseconds(50)) == STATUS_SUCCESS;
    }
    sim::load_image({.base = flood_size});
    (void)fast.drain();
    for (received& record : slow.drain()) by_slow.push_back(std::move(record));
    const uint64_t dropped = sum_of(device.statistics(), event_type_image_load).dropped_total();
    EXPECT_GT(dropped, told_before) << "the premise: there was another gap";
    EXPECT_EQ(told_dropped(by_slow), dropped);
  }
}

// No flush, and no event behind it.
TEST_F(driver_port_account, a_client_is_told_what_it_missed_as_soon_as_it_has_room) {
  port_client slow(on.machine, wants(bit(event_type_image_load), 0, "slow"));
  port_client fast(on.machine, wants(bit(event_type_image_load), 0, "fast"));
  for (uint32_t round = 0; round < 30; ++round) {  // more than a queue holds
    for (uint64_t i = 0; i < 200; ++i) sim::load_image({.base = i, .path = u"\\Device\\HarddiskVolume1\\some.dll"});
    (void)fast.drain();
  }
  std::vector<received> by_slow;
  while (client_losses(by_slow, event_type_image_load) == 0) ASSERT_EQ(slow.read(by_slow), STATUS_SUCCESS);
  EXPECT_EQ(of_type(by_slow, event_type_image_load).size() + client_losses(by_slow, event_type_image_load), 6000u);
}

TEST_F(driver_port_account, a_client_that_wants_nothing_holds_nothing_up) {
  port_client client(on.machine, wants(0));
  flood();
  const std::vector<received> records = client.drain();
  EXPECT_EQ(of_type(records, event_type_image_load).size(), 0u);
  class client device(on.machine);
  const account_row account = sum_of(device.statistics(), event_type_image_load);
  EXPECT_EQ(account.attempted, flood_size);
  EXPECT_TRUE(account.balances());
  const protocol::client_row row = client.row();
  EXPECT_EQ(row.lost, 0u);
  EXPECT_LT(row.offered, flood_size) << "events that it does not want are not offered";
  expect_balance(row);
}

TEST_F(driver_port_account, clients_that_sleep_cost_neither_callbacks_nor_other_clients_anything) {
  std::vector<std::unique_ptr<port_client>> asleep;
  for (uint32_t i = 0; i + 1 < protocol::max_port_clients; ++i) {
    asleep.push_back(std::make_unique<port_client>(on.machine, wants(~uint64_t{0}, 0, "asleep"), 4300 + i));
  }
  port_client awake(on.machine, wants(~uint64_t{0}, 0, "awake"));
  std::vector<received> by_awake;
  for (uint32_t round = 0; round < 30; ++round) {
    for (uint64_t i = 0; i < 200; ++i) sim::load_image({.base = i, .path = u"\\Device\\HarddiskVolume1\\some.dll"});
    for (received& record : awake.drain()) by_awake.push_back(std::move(record));
  }
  EXPECT_EQ(of_type(by_awake, event_type_image_load).size(), 6000u);
  for (const protocol::client_row& row : awake.clients()) {
    expect_balance(row);
    EXPECT_EQ(row.lost == 0, std::string_view(row.name) == "awake");
  }
}

TEST_F(driver_port_account, what_became_of_clients_that_have_left_stays_known) {
  port_client witness(on.machine, wants(bit(event_type_image_load), 0, "witness"));
  protocol::client_row last{};
  {
    port_client guest(on.machine, wants(bit(event_type_image_load), 0, "guest"), 4200);
    for (uint32_t round = 0; round < 30; ++round) {  // more than a queue holds
      for (uint64_t i = 0; i < 200; ++i) sim::load_image({.base = i, .path = u"\\Device\\HarddiskVolume1\\some.dll"});
      (void)witness.drain();
    }
    std::vector<received> records;
    ASSERT_EQ(guest.read(records), STATUS_SUCCESS);
    // Delivered: its thread has come back from the message.
    ASSERT_TRUE(wait_until([&] { return witness.row("guest").delivered != 0; }));
    last = witness.row("guest");
    EXPECT_GT(last.lost, 0u);
    EXPECT_GT(last.waiting, 0u);
  }
  protocol::clients_header about{};
  EXPECT_EQ(witness.clients(&about).size(), 1u);
  EXPECT_EQ(about.gone_clients, 1u);
  EXPECT_EQ(about.gone_offered, last.offered);
  EXPECT_EQ(about.gone_delivered, last.delivered);
  EXPECT_EQ(about.gone_lost, last.lost);
  EXPECT_EQ(about.gone_undelivered, last.waiting);
}

// A flush ends although events never do.
TEST_F(driver_port_account, a_flush_is_answered_under_load_without_end) {
  std::atomic<bool> done{false};
  std::thread load([&] {
    sim::activity here(on.machine, 1, 900, 901);
    while (!done) sim::load_image({.base = 1, .path = u"\\Device\\HarddiskVolume1\\some.dll"});
  });
  port_client client(on.machine);
  for (uint32_t i = 0; i < 5; ++i) {
    sim::load_image({.base = 1000 + i});
    // Not always with the first answer: while an older reservation of the other CPU is open, the event is not final.
    EXPECT_TRUE(wait_until([&] {
      const auto records = of_type(client.drain(), event_type_image_load);
      return std::any_of(records.begin(), records.end(), [&](const received& record) {
        return record.cpu == 0 && record.as<image_load_payload>().base == 1000 + i;
      });
    }));
  }
  done = true;
  load.join();
}

// Asked for at any moment, from another thread: never off by one.
TEST_F(driver_port_account, each_row_balances_at_every_moment) {
  std::atomic<bool> done{false};
  port_client reading(on.machine, wants(~uint64_t{0}, 0, "reading"));
  port_client asleep(on.machine, wants(~uint64_t{0}, 0, "asleep"));
  std::thread load([&] {
    sim::activity here(on.machine, 1, 900, 901);
    while (!done) sim::load_image({.base = 1, .path = u"\\Device\\HarddiskVolume1\\some.dll"});
  });
  std::vector<received> records;
  for (uint32_t i = 0; i < 200; ++i) {
    if (i % 4 == 0) {
      EXPECT_EQ(reading.read(records), STATUS_SUCCESS);
    }
    protocol::clients_header about{};
    const auto rows = asleep.clients(&about);
    EXPECT_EQ(rows.size(), 2u);
    for (const protocol::client_row& row : rows) expect_balance(row);
    EXPECT_EQ(about.gone_offered, about.gone_delivered + about.gone_lost + about.gone_undelivered);
    if (i % 20 == 19) {  // one that leaves with a message on its way
      port_client guest;
      EXPECT_EQ(guest.connect(on.machine, wants(~uint64_t{0}, 0, "guest"), 4200), STATUS_SUCCESS);
    }
  }
  done = true;
  load.join();
}

}  // namespace
}  // namespace sluice::test
