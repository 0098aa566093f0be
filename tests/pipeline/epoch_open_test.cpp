// pipeline/epoch.h: records that are open or refused while the clock steps back, and what a consumer may do meanwhile.
#include "tests/pipeline/epoch_case.h"

using namespace sluice;
using namespace sluice::test;

// What is open when the clock steps back is older than all that comes after, and holds it back like any other (M1).
TEST_F(epoch_case, m1_a_record_open_across_the_step_comes_first) {
  make(2);
  auto m = merge();
  const record open = reserve(0, hour);
  pass(m, hour);
  write(1, hour + 1, 2);
  write(1, 100, 3);
  write(0, 110, 4);
  EXPECT_EQ(pass(m, 200).end, pass_end::stamped);
  EXPECT_EQ(pass(m, 201).end, pass_end::stamped);
  EXPECT_TRUE(sink.records.empty());
  test_cpu::commit(open, 1);
  pass(m, 202);
  EXPECT_EQ(sink.values(), (values{1, 2, 3, 4}));
  EXPECT_EQ(sink.epoch_places, (std::vector<size_t>{2}));
  expect_rising();
}

// A head without a time: it may become of either epoch.
TEST_F(epoch_case, m1_a_record_that_gets_its_time_after_the_step_is_of_the_new_epoch) {
  make(2);
  auto m = merge();
  write(0, hour, 1);
  write(1, hour + 5, 2);
  EXPECT_EQ(pass(m, hour + 10).emitted, 2u);
  bool stepped = false;
  time.on_read = [&] {
    if (stepped) return;
    stepped = true;
    // Published, and without a time: the clock steps back now, and everything else goes on.
    const uint64_t value = 4;
    time.now = 300;
    ASSERT_EQ(cpus[1]->write(value), reserve_status::ok);
    EXPECT_EQ(pass(m, 320).end, pass_end::reserved);
    EXPECT_EQ(pass(m, 330).end, pass_end::reserved);
    EXPECT_EQ(sink.records.size(), 2u);
    time.now = 200;
  };
  ASSERT_EQ(cpus[0]->write(3), reserve_status::ok);
  EXPECT_EQ(cpus[0]->main.header_at(cpus[0]->main.consumed()).time_low, 200u);
  pass(m, 340);
  pass(m, 350);
  EXPECT_EQ(sink.values(), (values{1, 2, 3, 4}));
  EXPECT_EQ(sink.epochs.size(), 1u);
  expect_rising();
}

TEST_F(epoch_case, m3_an_open_record_of_an_ended_epoch_gives_way_after_the_limit) {
  make(2);
  auto m = merge({1000, step_back});
  const record open = reserve(0, hour);
  EXPECT_EQ(pass(m, hour + 10).end, pass_end::stamped);
  write(1, 100, 2);
  pass_result result = pass(m, 150);
  EXPECT_EQ(result.end, pass_end::stamped);
  EXPECT_EQ(result.open_time, 150u) << "its age is counted from the end of its epoch";
  write(1, 1140, 3);
  EXPECT_EQ(pass(m, 1150).end, pass_end::stamped) << "at the limit, not past it";
  EXPECT_EQ(pass(m, 1151).emitted, 2u);
  EXPECT_EQ(m.merged.set_aside_records(), 1u);
  const uint64_t epoch_began = sink.epochs.at(0).time;
  test_cpu::commit(open, 1);
  EXPECT_EQ(pass(m, 1160).emitted, 1u);
  EXPECT_EQ(sink.values(), (values{2, 3, 1}));
  EXPECT_TRUE(sink.records[2].late);
  EXPECT_EQ(sink.records[2].time, hour);
  EXPECT_LT(sink.records[2].time, epoch_began) << "its time is of its own epoch";
}

TEST_F(epoch_case, r2_a_record_set_aside_keeps_the_time_of_its_own_epoch) {
  make(2);
  auto m = merge({1000, step_back});
  write(0, 3 * hour, 1);
  EXPECT_EQ(pass(m, 3 * hour + 10).emitted, 1u);
  const record open = reserve(0, 2 * hour);
  EXPECT_EQ(pass(m, 2 * hour + 10).end, pass_end::stamped);
  const uint64_t offset = m.merged.offset();
  EXPECT_NE(offset, 0u);
  pass(m, 2 * hour + 1011);
  EXPECT_EQ(m.merged.set_aside_records(), 1u);
  write(1, hour, 2);
  EXPECT_EQ(pass(m, hour + 10).emitted, 1u);
  EXPECT_NE(m.merged.offset(), offset);
  test_cpu::commit(open, 3);
  EXPECT_EQ(pass(m, hour + 20).emitted, 1u);
  EXPECT_EQ(sink.records.back().time, 2 * hour + offset);
  expect_rising();
}

TEST_F(epoch_case, m2_a_sink_that_takes_no_news_of_an_epoch_loses_nothing) {
  make(2);
  auto m = merge();
  write(0, hour, 1);
  EXPECT_EQ(pass(m, hour + 10).emitted, 1u);
  write(0, 100, 2);
  write(1, 101, 3);
  sink.refuses_epochs = true;
  for (uint64_t at = 200; at < 210; ++at) {
    const pass_result result = pass(m, at);
    EXPECT_EQ(result.end, pass_end::sink_full);
    EXPECT_EQ(result.emitted, 0u);
    EXPECT_TRUE(result.closed_pending);
  }
  EXPECT_EQ(m.merged.epoch(), 0u);
  sink.refuses_epochs = false;
  EXPECT_EQ(pass(m, 220).emitted, 2u);
  EXPECT_EQ(sink.values(), (values{1, 2, 3}));
  EXPECT_EQ(sink.epochs.size(), 1u);
}

// W1: what waits for the next T is pending; the consumer must not sleep over it.
TEST_F(epoch_case, w1_the_consumer_does_not_sleep_over_a_record_of_a_later_epoch) {
  make(2);
  auto m = merge();
  write(1, hour, 1);
  EXPECT_EQ(pass(m, hour + 10).emitted, 1u);
  at_barrier = [&] { write(1, 100, 2); };
  const pass_result result = pass(m, hour + 20);
  EXPECT_EQ(result.emitted, 0u);
  EXPECT_FALSE(result.may_sleep());
}

TEST_F(epoch_case, both_lanes_of_a_cpu_step_together) {
  make(1);
  auto m = merge();
  record open = reserve(0, hour);
  while (cpus[0]->write(0, 8, critical_type) == reserve_status::ok &&
         cpus[0]->spare.published() == cpus[0]->spare.consumed()) {
  }
  ASSERT_NE(cpus[0]->spare.published(), cpus[0]->spare.consumed()) << "the spare lane is in use";
  write(0, 100, 7, critical_type);
  write(0, 100, 8, critical_type);
  test_cpu::commit(open, 1);
  pass(m, 200);
  pass(m, 201);
  ASSERT_EQ(sink.epochs.size(), 1u);
  EXPECT_EQ(sink.records.back().value(), 8u);
  EXPECT_EQ(sink.records.back().lane, lane_spare);
  expect_rising();
  EXPECT_EQ(m.merged.late_records(), 0u);
}
