// R3: attempted = committed + discarded + dropped(by reason) + open, per type, from sources that know nothing of each
// other: what the test raised, what a consumer received, what LOSS records and figures announce, what a walk over the
// headers finds open.
#include "pipeline/account.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/pipeline/support.h"

using namespace sluice;
using namespace sluice::test;

namespace {

struct account_case : testing::Test {
  manual_time time{1, 1, {}};
  test_cpu cpu{manual_clock{&time}};
  exact_merge merge{manual_clock{&time}, exact{}, {&cpu.main, &cpu.spare}, {50000}};
  collector sink;
};

}  // namespace

TEST_F(account_case, r3_holds_at_every_step_and_each_column_equals_its_own_source) {
  std::mt19937_64 random(11);
  constexpr uint16_t first_type = 38;  // ordinary and critical ones
  constexpr uint16_t types = 5;
  std::map<uint16_t, uint64_t> raised;
  std::map<uint16_t, uint64_t> refused;
  std::map<uint16_t, uint64_t> committed;
  std::map<uint16_t, uint64_t> discarded;
  std::vector<std::pair<record, uint16_t>> open;
  std::map<uint16_t, account_row> last;

  const auto close_one = [&] {
    const size_t which = random() % open.size();
    const bool commit = random() % 4 != 0;
    ++(commit ? committed : discarded)[open[which].second];
    open[which].first.close(commit ? record_state::committed : record_state::discarded);
    open[which] = open.back();
    open.pop_back();
  };
  const auto check = [&] {
    std::map<uint16_t, uint64_t> still_open;
    for (const auto& each : open) ++still_open[each.second];
    for (uint16_t type = first_type; type < first_type + types; ++type) {
      const account_row row = cpu.account(type);
      ASSERT_TRUE(row.balances()) << type;
      ASSERT_EQ(row.attempted, raised[type]) << type;
      ASSERT_EQ(row.committed, committed[type]) << type;
      ASSERT_EQ(row.discarded, discarded[type]) << type;
      ASSERT_EQ(row.open, still_open[type]) << type;
      ASSERT_EQ(row.dropped_total(), refused[type]) << type;
      // Monotonic since load.
      ASSERT_GE(row.committed, last[type].committed);
      ASSERT_GE(row.dropped_total(), last[type].dropped_total());
      last[type] = row;
    }
  };

  for (uint32_t step = 0; step < 30000; ++step) {
    const uint16_t type = static_cast<uint16_t>(first_type + random() % types);
    const uint32_t length = random() % 50 == 0 ? 2000 : 8 + static_cast<uint32_t>(random() % 120);
    ++raised[type];
    if (random() % 2 == 0) {
      if (cpu.write(step, length, type) == reserve_status::ok) {
        ++committed[type];
      } else {
        ++refused[type];
      }
    } else {
      record each;
      if (cpu.reserve(each, length, type) == reserve_status::ok) {
        std::memset(each.payload(), 0, each.payload_length());
        open.emplace_back(each, type);
      } else {
        ++refused[type];
      }
    }
    while (open.size() > 6 || (!open.empty() && random() % 3 == 0)) close_one();
    if (random() % 40 == 0) {
      merge.pass(sink);
      merge.merged.release();
    }
    if (step % 500 == 0) {
      ASSERT_NO_FATAL_FAILURE(check()) << "step " << step;
    }
  }
  check();
  while (!open.empty()) close_one();
  time.now += 10;
  merge.pass(sink);
  merge.merged.release();
  ASSERT_NO_FATAL_FAILURE(check());

  // At rest: what was received is what is committed, and what is announced is what was dropped.
  std::map<uint16_t, uint64_t> received_by_type;
  std::map<uint16_t, uint64_t> announced;
  for (const received& each : sink.records) {
    ++received_by_type[each.type];
    if (each.type != record_type_loss) continue;
    for (const loss_entry& entry : decode_loss(each.payload).entries) announced[entry.type] += entry.events;
  }
  loss_summary figures;
  ASSERT_TRUE(read_loss_figures(cpu.main.view.producer->loss, figures));
  uint64_t all = 0;
  for (uint16_t type = first_type; type < first_type + types; ++type) {
    EXPECT_EQ(received_by_type[type], committed[type]) << type;
    EXPECT_EQ(figures.dropped[type], refused[type]) << type;
    EXPECT_LE(announced[type], refused[type]) << type;
    EXPECT_GT(committed[type], 0u);
    EXPECT_GT(discarded[type], 0u);
    EXPECT_GT(refused[type], 0u);
    all += refused[type];
  }
  EXPECT_EQ(figures.events, all);
  const account_row loss = cpu.account(record_type_loss);
  EXPECT_EQ(loss.committed, received_by_type[record_type_loss]);
  EXPECT_EQ(loss.attempted, loss.committed);
  EXPECT_GT(loss.committed, 10u);

  // R4: one more event, and nothing is left unannounced.
  ASSERT_EQ(cpu.write(1), reserve_status::ok);
  time.now += 10;
  const size_t before = sink.records.size();
  merge.pass(sink);
  for (size_t i = before; i < sink.records.size(); ++i) {
    if (sink.records[i].type != record_type_loss) continue;
    for (const loss_entry& entry : decode_loss(sink.records[i].payload).entries) announced[entry.type] += entry.events;
  }
  for (uint16_t type = first_type; type < first_type + types; ++type) EXPECT_EQ(announced[type], refused[type]) << type;
}

TEST_F(account_case, r3_every_drop_has_its_reason) {
  const auto dropped = [&](uint16_t type, drop_reason reason) {
    return cpu.rings.row(type).dropped[static_cast<uint32_t>(reason)];
  };
  while (cpu.write(1, 100) == reserve_status::ok) {
  }
  EXPECT_EQ(dropped(ordinary_type, drop_reason::ring_full), 1u);
  (void)cpu.write(1, 5000);
  EXPECT_EQ(dropped(ordinary_type, drop_reason::too_long), 1u);
  (void)cpu.write(1, 5000, critical_type);
  EXPECT_EQ(dropped(critical_type, drop_reason::too_long), 1u);
  while (cpu.write(1, 100, critical_type) == reserve_status::ok) {
  }
  EXPECT_EQ(dropped(critical_type, drop_reason::critical_full), 1u);
  cpu.main.claim(4);
  (void)cpu.write(1, 100);
  EXPECT_EQ(dropped(ordinary_type, drop_reason::violation), 1u);
  (void)cpu.write(1, 100, critical_type);
  EXPECT_EQ(dropped(critical_type, drop_reason::violation), 1u);
  EXPECT_TRUE(cpu.account(ordinary_type).balances());
  EXPECT_TRUE(cpu.account(critical_type).balances());
  for (uint32_t reason = 0; reason < drop_reason_count; ++reason) {
    EXPECT_STRNE(name_of(static_cast<drop_reason>(reason)), "unknown");
  }
}
