// pipeline/epoch.h: what the stream does when the clock steps back. Ticks of a hand-moved clock; a step of up to 10 ticks is
// absorbed, one of more begins an epoch.
#include "tests/pipeline/epoch_case.h"

using namespace sluice;
using namespace sluice::test;

TEST_F(epoch_case, m1_after_a_step_back_of_an_hour_events_flow_at_once_and_in_order) {
  make(3);
  auto m = merge();
  write(0, hour + 10, 1);
  write(1, hour + 20, 2);
  EXPECT_EQ(pass(m, hour + 50).emitted, 2u);
  write(1, 100, 3);  // the clock has gone back by an hour
  write(0, 110, 4);
  write(1, 120, 5);
  EXPECT_EQ(pass(m, 150).emitted, 3u) << "at once";
  EXPECT_EQ(sink.values(), (values{1, 2, 3, 4, 5}));
  ASSERT_EQ(sink.epochs.size(), 1u);
  EXPECT_EQ(sink.epochs[0].epoch, 1u);
  EXPECT_EQ(sink.epoch_places[0], 2u) << "the epoch is told where it begins";
  EXPECT_EQ(sink.epochs[0].first, 100u);
  for (size_t i = 2; i < 5; ++i) EXPECT_EQ(sink.records[i].time, 100 + 10 * (i - 2) + sink.epochs[0].offset());
  expect_rising();
  EXPECT_EQ(m.merged.late_records(), 0u);
}

// CPU 1 has been idle for so long that its own last time says nothing: the pass that found its ring empty does.
TEST_F(epoch_case, m1_a_ring_that_was_found_empty_knows_the_epoch_by_that) {
  make(2);
  auto m = merge();
  write(1, 10, 1);
  EXPECT_EQ(pass(m, 20).emitted, 1u);
  write(0, 1000, 2);
  EXPECT_EQ(pass(m, 1010).emitted, 1u);
  write(1, 500, 3);  // back by 510; later than all that CPU 1 ever wrote
  write(0, 505, 4);
  pass(m, 520);
  pass(m, 521);
  EXPECT_EQ(sink.values(), (values{1, 2, 3, 4}));
  ASSERT_EQ(sink.epochs.size(), 1u);
  EXPECT_EQ(sink.epoch_places[0], 2u);
  EXPECT_EQ(m.merged.late_records(), 0u);
  expect_rising();
}

TEST_F(epoch_case, m3_rings_without_records_follow_the_clock_into_the_epoch) {
  make(8);
  auto m = merge();
  write(7, hour, 1);
  EXPECT_EQ(pass(m, hour + 10).emitted, 1u);
  write(7, 50, 2);
  EXPECT_EQ(pass(m, 60).emitted, 1u) << "T is of the new epoch: no idle ring can still have anything of the old one";
  for (uint64_t value = 3; value < 10; ++value) {
    write(7, 60 + value * 10, value);
    EXPECT_EQ(pass(m, 60 + value * 10 + 5).emitted, 1u);
  }
}

// T was read before the step: what is seen of the new epoch waits for the next T, and no longer.
TEST_F(epoch_case, m1_a_t_from_before_the_step_proves_nothing_about_the_new_epoch) {
  make(2);
  auto m = merge();
  write(1, hour, 1);
  EXPECT_EQ(pass(m, hour + 10).emitted, 1u);
  at_barrier = [&] { write(1, 100, 3); };
  EXPECT_EQ(pass(m, hour + 20).emitted, 0u);
  EXPECT_TRUE(sink.epochs.empty());
  at_barrier = nullptr;
  write(0, 90, 2);
  EXPECT_EQ(pass(m, 200).emitted, 2u);
  EXPECT_EQ(sink.values(), (values{1, 2, 3}));
}

// Every ring has shown the new epoch, so it begins; but this T cannot say what an emptied ring of it still gets.
TEST_F(epoch_case, m1_an_epoch_that_begins_under_an_older_t_goes_no_further_than_its_records_show) {
  make(2);
  auto m = merge_of_mains();
  write(0, hour, 1);
  write(1, hour + 1, 2);
  EXPECT_EQ(pass(m, hour + 10).emitted, 2u);
  at_barrier = [&] {
    write(0, 100, 3);
    write(1, 102, 5);
  };
  EXPECT_EQ(pass(m, hour + 20).emitted, 1u) << "CPU 0 may still stamp 101";
  EXPECT_EQ(sink.epochs.size(), 1u);
  at_barrier = nullptr;
  write(0, 101, 4);
  EXPECT_EQ(pass(m, 200).emitted, 2u);
  EXPECT_EQ(sink.values(), (values{1, 2, 3, 4, 5}));
}

// The first T ever is of the new epoch, and the clock is past every T since: only the rings tell.
TEST_F(epoch_case, m3_t_learns_of_an_epoch_from_the_rings) {
  make(2);
  auto m = merge_of_mains();
  write(0, hour, 1);
  write(1, hour + 1, 2);
  write(0, 100, 3);
  write(1, 102, 4);
  EXPECT_EQ(pass(m, 200).emitted, 3u);
  EXPECT_EQ(pass(m, 300).emitted, 1u) << "T is of the epoch that an earlier pass has seen";
  write(1, 400, 5);
  EXPECT_EQ(pass(m, 500).emitted, 1u);
  EXPECT_EQ(sink.values(), (values{1, 2, 3, 4, 5}));
  EXPECT_EQ(sink.epochs.size(), 1u);
}

TEST_F(epoch_case, r2_a_small_step_back_is_absorbed) {
  make(2);
  auto m = merge();
  write(0, 100, 1);
  write(0, 95, 2);
  write(0, 90, 3);
  pass(m, 110);
  EXPECT_EQ(sink.values(), (values{1, 2, 3}));
  for (const received& r : sink.records) EXPECT_EQ(r.time, 100u);
  pass(m, 105);
  EXPECT_TRUE(sink.epochs.empty());
  EXPECT_EQ(m.merged.epoch(), 0u);
}

TEST_F(epoch_case, r2_a_step_back_past_the_bound_begins_an_epoch) {
  make(1);
  auto m = merge();
  write(0, 100, 1);
  pass(m, 101);
  write(0, 89, 2);
  EXPECT_EQ(pass(m, 90).emitted, 1u);
  ASSERT_EQ(sink.epochs.size(), 1u);
  EXPECT_EQ(sink.epochs[0].first, 89u);
  expect_rising();
}

// The ring was found empty at 110, and gets a record from before that: no step, whoever is to blame.
TEST_F(epoch_case, r2_a_small_step_back_seen_by_an_idle_cpu_is_no_epoch) {
  make(2);
  auto m = merge();
  write(0, 100, 1);
  EXPECT_EQ(pass(m, 111).emitted, 1u);
  write(1, 101, 2);
  EXPECT_EQ(pass(m, 112).emitted, 1u);
  EXPECT_TRUE(sink.epochs.empty());
  write(0, 101, 3);  // before what was emitted of CPU 1: late, and said so
  EXPECT_EQ(pass(m, 113).emitted, 1u);
  EXPECT_TRUE(sink.epochs.empty());
  EXPECT_EQ(m.merged.late_records(), 1u);
}

// Steps that are too small each, and not together.
TEST_F(epoch_case, m3_many_small_steps_back_add_up) {
  make(2);
  auto m = merge();
  write(1, 1000, 1);
  EXPECT_EQ(pass(m, 1010).emitted, 1u);
  uint64_t at = 1010;
  for (uint64_t value = 2; value < 200; ++value) {
    at -= 4;
    write(1, at, value);
    pass(m, at + 2);
  }
  EXPECT_GE(sink.epochs.size(), 50u);
  EXPECT_GE(sink.records.size(), 190u) << "times that stand still hold back a few";
  expect_rising();
}

TEST_F(epoch_case, m3_a_clock_that_stands_still_holds_back_only_its_last_tick) {
  make(2);
  auto m = merge();
  write(1, 98, 1);
  write(1, 100, 2);
  for (int i = 0; i < 5; ++i) pass(m, 100);
  EXPECT_EQ(sink.values(), (values{1})) << "CPU 0 may still stamp 100";
  pass(m, 102);
  EXPECT_EQ(sink.values(), (values{1, 2}));
  EXPECT_TRUE(sink.epochs.empty());
}

TEST_F(epoch_case, m1_a_step_forward_is_no_epoch) {
  make(2);
  auto m = merge();
  write(0, 100, 1);
  write(1, hour, 2);
  write(0, hour + 1, 3);
  pass(m, hour + 10);
  EXPECT_EQ(sink.values(), (values{1, 2, 3}));
  EXPECT_TRUE(sink.epochs.empty());
}
