// Overwrite mode (flight recorder), the ring's side: the newest records survive, what is open is never overwritten. O1 to O3:
// pipeline/tail.h.
#include <random>

#include "tests/pipeline/overwrite_case.h"

using namespace sluice;
using namespace sluice::test;

TEST_F(overwrite_case, the_newest_survive_and_a_late_reader_learns_how_many_it_missed) {
  flood(0, 5000);
  read_all();
  ASSERT_GT(sink.records.size(), 50u) << "most of the ring is there";
  const received& loss = sink.records[0];
  ASSERT_TRUE(loss.overwritten);
  const decoded_loss told = decode_loss(loss.payload);
  ASSERT_EQ(told.entries.size(), 1u);
  EXPECT_EQ(told.entries[0].type, ordinary_type);
  EXPECT_EQ(told.fixed.events, 5000 - (sink.records.size() - 1)) << "exact";
  EXPECT_EQ(told.fixed.bytes, (5000 - (sink.records.size() - 1)) * 56);
  EXPECT_EQ(loss.position, 0xfffff000u) << "where the gap begins";
  EXPECT_EQ(loss.time, sink.records[1].time) << "in front of the first record that is left";
  EXPECT_EQ(told.fixed.last_time, loss.time);
  uint64_t value = told.fixed.events;
  for (size_t i = 1; i < sink.records.size(); ++i, ++value) {
    EXPECT_TRUE(sink.records[i].intact());
    EXPECT_EQ(sink.records[i].value(), value);
  }
  EXPECT_EQ(value, 5000u) << "up to the last";
  EXPECT_EQ(merged.merged.missed_events(), told.fixed.events);
}

TEST_F(overwrite_case, a_reader_that_keeps_up_misses_nothing) {
  for (uint32_t i = 0; i < 3000; ++i) {
    flood(i, 1, 8 + i % 200);
    if (i % 10 == 9) read_all();
  }
  EXPECT_EQ(sink.records.size(), 3000u);
  EXPECT_EQ(merged.merged.missed_events(), 0u);
  const account_row row = cpu.account(ordinary_type);
  EXPECT_TRUE(row.balances());
  EXPECT_EQ(row.overwritten, 0u) << "all of it was given back before it was overwritten";
}

TEST_F(overwrite_case, r3_holds_and_what_was_overwritten_unread_is_a_figure_of_its_own) {
  flood(0, 10);
  read_all();
  flood(10, 2000);
  const account_row row = cpu.account(ordinary_type);
  EXPECT_TRUE(row.balances());
  EXPECT_EQ(row.attempted, 2010u);
  EXPECT_EQ(row.committed, 2010u);
  EXPECT_EQ(row.dropped_total(), 0u);
  read_all();
  const tally all(sink.records);
  EXPECT_EQ(row.overwritten, all.missed.at(ordinary_type));
  EXPECT_EQ(all.delivered.at(ordinary_type) + all.missed.at(ordinary_type), row.committed) << "O3";
}

TEST_F(overwrite_case, o1_the_tail_never_passes_an_open_record_and_then_the_newest_is_dropped) {
  record held;
  ASSERT_EQ(cpu.reserve(held, 24), reserve_status::ok);
  test_cpu::fill(held, 77);
  uint32_t written = 0;
  while (written < 1000 && cpu.write(written, 40) == reserve_status::ok) ++written;
  EXPECT_EQ(written, (4096u - 40) / 56) << "all of the room is used";
  for (uint32_t i = 0; i < 20; ++i) EXPECT_EQ(cpu.write(1000 + i, 40), reserve_status::dropped);
  account_row row = cpu.account(ordinary_type);
  EXPECT_TRUE(row.balances());
  EXPECT_EQ(row.open, 1u);
  EXPECT_EQ(row.dropped[static_cast<uint32_t>(drop_reason::ring_full)], 21u);
  EXPECT_EQ(row.overwritten, 0u);
  EXPECT_EQ(cpu.main.view.producer->tail.tail[0].load(memory_order::acquire), 0xfffff000u);

  held.close(record_state::committed);
  ASSERT_EQ(cpu.write(2000, 40), reserve_status::ok) << "once it is closed, the ring goes on";
  read_all();
  const tally all(sink.records);
  EXPECT_EQ(all.delivered.at(record_type_loss), 1u) << "what was dropped meanwhile is announced";
  row = cpu.account(ordinary_type);
  EXPECT_EQ(all.delivered.at(ordinary_type) + all.missed.at(ordinary_type), row.committed);
}

TEST_F(overwrite_case, closed_records_in_front_of_an_open_one_are_not_given_up_for_nothing) {
  flood(0, 3);  // 168 bytes: not enough for what comes
  record held;
  ASSERT_EQ(cpu.reserve(held, 24), reserve_status::ok);
  flood(3, (4096 - 3 * 56 - 40) / 56);
  EXPECT_EQ(cpu.write(5, 400), reserve_status::dropped);
  EXPECT_EQ(cpu.main.view.producer->tail.tail[0].load(memory_order::acquire), 0xfffff000u);
  read_all();
  ASSERT_EQ(sink.records.size(), 3u);
  EXPECT_FALSE(sink.records[0].overwritten);
  held.close(record_state::discarded);
}

TEST_F(overwrite_case, discarded_records_are_not_missed) {
  for (uint32_t i = 0; i < 400; ++i) {
    record open;
    ASSERT_EQ(cpu.reserve(open, 40), reserve_status::ok);
    open.close(record_state::discarded);
  }
  read_all();
  EXPECT_TRUE(sink.records.empty()) << "a gap of nothing but discarded records is none";
  flood(0, 1);
  read_all();
  ASSERT_EQ(sink.records.size(), 1u);
  EXPECT_FALSE(sink.records[0].overwritten);
  const account_row row = cpu.account(ordinary_type);
  EXPECT_TRUE(row.balances());
  EXPECT_EQ(row.overwritten, 0u);
}

TEST_F(overwrite_case, r6_a_flood_of_ordinary_events_overwrites_no_critical_one) {
  for (uint32_t i = 0; i < 20; ++i) ASSERT_EQ(cpu.write(i, 40, critical_type), reserve_status::ok);
  flood(0, 20000);
  read_all();
  const tally all(sink.records);
  EXPECT_EQ(all.delivered.at(critical_type), 20u);
  EXPECT_EQ(all.missed.count(critical_type), 0u);
  EXPECT_GT(all.missed.at(ordinary_type), 0u);
  EXPECT_EQ(all.late, 0u);
}

TEST_F(overwrite_case, r6_critical_events_overwrite_only_each_other) {
  flood(0, 50);
  for (uint32_t i = 0; i < 1000; ++i) ASSERT_EQ(cpu.write(i, 40, critical_type), reserve_status::ok);
  time.now += 5000;  // where the lane changes, times rise by a tick whatever the clock says
  read_all();
  const tally all(sink.records);
  EXPECT_EQ(all.delivered.at(ordinary_type), 50u);
  EXPECT_EQ(all.delivered.at(critical_type) + all.missed.at(critical_type), 1000u);
  EXPECT_EQ(sink.records.back().value(), 999u);
}

TEST_F(overwrite_case, r6_behind_an_open_record_in_the_spare_ring_critical_events_go_to_the_main_ring) {
  record held;
  ASSERT_EQ(cpu.reserve(held, 40, critical_type), reserve_status::ok);
  for (uint32_t i = 0; i < 1000; ++i) ASSERT_EQ(cpu.write(i, 40, critical_type), reserve_status::ok);
  EXPECT_EQ(cpu.account(critical_type).dropped_total(), 0u);
  test_cpu::commit(held, 5);
  read_all();
  std::vector<uint64_t> times;
  for (const received& each : sink.records) times.push_back(each.time);
  EXPECT_TRUE(std::is_sorted(times.begin(), times.end()));
  EXPECT_EQ(sink.records.back().value(), 999u);
}

TEST_F(overwrite_case, r5_what_a_client_claims_changes_nothing_but_the_figure_of_what_was_unread) {
  std::mt19937 random(11);
  for (uint32_t i = 0; i < 5000; ++i) {
    cpu.main.claim(random() % 3 == 0 ? static_cast<uint32_t>(random()) : cpu.main.published() - random() % 5000);
    ASSERT_EQ(cpu.write(i, random() % 100 + 8), reserve_status::ok);
    ASSERT_TRUE(cpu.rings.settle());
  }
  EXPECT_EQ(cpu.rings.violations(), 0u);
  const account_row row = cpu.account(ordinary_type);
  EXPECT_TRUE(row.balances());
  EXPECT_EQ(row.committed, 5000u);
  EXPECT_LE(row.overwritten, row.committed);
  read_all();
  const tally all(sink.records);
  EXPECT_EQ(all.delivered.at(ordinary_type) + all.missed.at(ordinary_type), 5000u);
}

TEST(overwrite, a_ring_of_the_smallest_size_holds_nearly_all_of_its_capacity) {
  manual_time time{1, 1, {}};
  test_cpu cpu(manual_clock{&time}, overwriting());
  for (uint32_t i = 0; i < 1000; ++i) ASSERT_EQ(cpu.write(i, 8), reserve_status::ok);
  const auto where = cpu.rings.where();
  EXPECT_GE(where.written[0] - where.reclaimed[0], 4096u - 2 * 64);
}

TEST(overwrite, the_tail_is_known_to_its_whole_width) {
  tail_figures<native_seam> figures{};
  figures.tail[0].store(0xffffff00, memory_order::relaxed);
  {
    tail_move<native_seam> move(figures);
    for (int i = 0; i < 3; ++i) move.count(7);
    EXPECT_EQ(figures.sequence.load(memory_order::relaxed) & 1, 1u);
    tail_summary<native_seam> summary;
    EXPECT_FALSE(read_tail_figures(figures, summary)) << "not while they are being written";
    move.finish(0x100);
  }
  tail_summary<native_seam> summary;
  ASSERT_TRUE(read_tail_figures(figures, summary));
  EXPECT_EQ(summary.tail, 0x100000100u);
  EXPECT_EQ(summary.committed[7], 3u);
  EXPECT_TRUE(tail_is_past(figures, 0xffffff00));
  EXPECT_TRUE(tail_is_past(figures, 0x1000000ff));
  EXPECT_FALSE(tail_is_past(figures, 0x100000100));
  EXPECT_TRUE(tail_is_past(figures, 0x100)) << "a whole 2^32 behind";
  figures.committed[7][0].store(0xffffffff, memory_order::relaxed);
  tail_move<native_seam> move(figures);
  move.count(7);
  move.finish(0x108);
  ASSERT_TRUE(read_tail_figures(figures, summary));
  EXPECT_EQ(summary.committed[7], 0x100000000u);
}
