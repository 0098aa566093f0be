// pipeline/merge.h: what comes late: the slack margin was too short, or a record was open for too long and set aside.
#include "tests/pipeline/merge_case.h"

using namespace sluice;
using namespace sluice::test;

// M1, slack: the margin was too short. The record is delivered all the same, marked and counted.
TEST_F(merge_case, m1_a_record_older_than_what_was_emitted_is_marked_late_and_counted) {
  make(2);
  slack_merge m(manual_clock{&time}, slack_order(5), mains());
  write(1, 50, 2);
  time.now = 100;
  EXPECT_EQ(m.pass(sink).emitted, 1u);
  write(0, 40, 1);  // its store took longer than the margin
  write(0, 60, 3);
  time.now = 200;
  EXPECT_EQ(m.pass(sink).emitted, 2u);
  ASSERT_EQ(sink.values(), (values{2, 1, 3}));
  EXPECT_FALSE(sink.records[0].late);
  EXPECT_TRUE(sink.records[1].late);
  EXPECT_FALSE(sink.records[2].late);
  EXPECT_EQ(m.merged.late_records(), 1u);
}

// M3: a reserved head can only become younger than what was taken from its ring; a late record need not wait for it.
TEST_F(merge_case, m3_a_late_record_does_not_wait_for_a_reserved_head) {
  make(2);
  slack_merge m(manual_clock{&time}, slack_order(5), mains());
  write(1, 50, 2);
  time.now = 100;
  ASSERT_EQ(m.pass(sink).emitted, 1u);
  write(0, 40, 1);
  uint32_t readings = 0;
  time.on_read = [&] {
    if (++readings != 1) return;
    time.now = 200;
    EXPECT_EQ(m.pass(sink).emitted, 1u);
  };
  ASSERT_EQ(cpus[1]->write(3), reserve_status::ok);
  time.on_read = nullptr;
  EXPECT_EQ(sink.values(), (values{2, 1}));
  EXPECT_EQ(m.merged.late_records(), 1u);
}

TEST_F(merge_case, m3_slack_lets_a_record_go_once_the_margin_has_passed) {
  make(2);
  slack_merge m(manual_clock{&time}, slack_order(20), mains());
  write(1, 50, 1);
  time.now = 71;
  EXPECT_EQ(m.pass(sink).emitted, 0u);
  time.now = 72;
  EXPECT_EQ(m.pass(sink).emitted, 1u);
}

// Bounded order: after D the stream goes on without the open record; it comes late, once, and is counted.
TEST_F(merge_case, m1_a_head_that_is_open_for_too_long_is_set_aside_and_comes_late) {
  make(2);
  auto m = merge({100});
  record held = reserve(0, 10);
  write(0, 12, 2);
  write(1, 11, 1);
  EXPECT_EQ(pass(m, 110).end, pass_end::stamped) << "exactly D is not longer than D";
  EXPECT_EQ(pass(m, 111).emitted, 2u);
  EXPECT_EQ(sink.values(), (values{1, 2}));
  EXPECT_EQ(m.merged.set_aside_records(), 1u);
  EXPECT_EQ(pass(m, 200).emitted, 0u);
  test_cpu::commit(held, 0);
  EXPECT_EQ(pass(m, 210).emitted, 1u);
  EXPECT_EQ(sink.values(), (values{1, 2, 0}));
  EXPECT_TRUE(sink.records[2].late);
  EXPECT_EQ(m.merged.late_records(), 1u);
  EXPECT_EQ(pass(m, 300).emitted, 0u);
  EXPECT_EQ(cpus[0]->main.consumed(), cpus[0]->main.published());
}

TEST_F(merge_case, m2_a_discarded_record_that_was_set_aside_is_counted_and_not_emitted) {
  make(1);
  auto m = merge({100});
  record held = reserve(0, 10);
  pass(m, 500);
  ASSERT_EQ(m.merged.set_aside_records(), 1u);
  held.close(record_state::discarded);
  EXPECT_EQ(pass(m, 600).emitted, 0u);
  EXPECT_EQ(m.merged.discarded_records(), 1u);
  EXPECT_EQ(m.merged.late_records(), 0u);
  EXPECT_EQ(cpus[0]->main.consumed(), cpus[0]->main.published());
}

TEST_F(merge_case, m2_a_late_record_that_the_sink_refuses_comes_with_the_next_pass) {
  make(1);
  auto m = merge({100});
  record held = reserve(0, 10);
  pass(m, 500);
  test_cpu::commit(held, 7);
  sink.limit = 0;
  const pass_result refused = pass(m, 600);
  EXPECT_EQ(refused.end, pass_end::sink_full);
  EXPECT_FALSE(refused.may_sleep());
  EXPECT_EQ(m.merged.late_records(), 0u);
  sink.limit = 1;
  EXPECT_EQ(pass(m, 700).emitted, 1u);
  EXPECT_EQ(sink.values(), (values{7}));
}

TEST_F(merge_case, the_sink_is_told_of_each_record_set_aside) {
  struct telling : collector {
    std::vector<std::pair<uint64_t, uint64_t>> aside;
    void set_aside(const record_view<native_seam>& open) { aside.emplace_back(open.position, open.time); }
  } told;
  make(1);
  auto m = merge({100});
  reserve(0, 10);
  reserve(0, 11);
  time.now = 500;
  m.merged.pass(told);
  EXPECT_EQ(told.aside, (std::vector<std::pair<uint64_t, uint64_t>>{{0, 10}, {24, 11}}));
}

// W2: in bounded order a consumer must know until when it may sleep, whatever ended the pass.
TEST_F(merge_case, w2_the_oldest_open_head_is_told_whatever_ended_the_pass) {
  make(3);
  auto m = merge();
  reserve(2, 60);
  record older = reserve(1, 50);
  const pass_result idle = pass(m, 50);
  EXPECT_EQ(idle.end, pass_end::idle_bound);
  EXPECT_EQ(idle.ring, 0u);
  EXPECT_EQ(idle.open_time, 50u);
  EXPECT_EQ(pass(m, 100).open_time, 50u);
  older.close(record_state::discarded);
  EXPECT_EQ(pass(m, 100).open_time, 60u);
}

TEST_F(merge_case, when_too_many_are_set_aside_the_stream_waits) {
  make(1);
  auto m = merge({100});
  for (uint32_t i = 0; i <= reader::max_set_aside; ++i) reserve(0, 10 + i);
  write(0, 40, 1);
  const pass_result result = pass(m, 5000);
  EXPECT_EQ(m.merged.set_aside_records(), reader::max_set_aside);
  EXPECT_EQ(result.end, pass_end::stamped);
  EXPECT_EQ(result.open_time, 10u + reader::max_set_aside);
}
