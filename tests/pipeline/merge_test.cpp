// pipeline/merge.h: M1, M2, M3 by hand-made interleavings. The clock stands still until the test moves it; what happens
// between two steps of a pass is a script run by the barrier, the clock or the sink.
#include "tests/pipeline/merge_case.h"

using namespace sluice;
using namespace sluice::test;

TEST_F(merge_case, m1_records_come_by_time_whatever_their_ring) {
  make(3);
  auto m = merge();
  write(2, 10, 1);
  write(0, 20, 2);
  write(1, 30, 3);
  write(2, 40, 4);
  write(0, 50, 5);
  EXPECT_EQ(pass(m, 100).end, pass_end::idle_bound);
  EXPECT_EQ(sink.values(), (values{1, 2, 3, 4, 5}));
}

TEST_F(merge_case, m1_ties_go_to_the_lower_cpu_and_then_to_ring_order) {
  make(3);
  auto m = merge();
  for (uint32_t cpu : {2u, 1u, 0u}) {
    write(cpu, 10, cpu * 10);
    write(cpu, 10, cpu * 10 + 1);
  }
  pass(m, 100);
  EXPECT_EQ(sink.values(), (values{0, 1, 10, 11, 20, 21}));
}

// M3: an idle ring never delays what is older than T - 1 tick, and needs no help from its CPU for it.
TEST_F(merge_case, m3_an_idle_ring_holds_back_only_what_is_not_older_than_the_bound) {
  make(2);
  auto m = merge();
  write(1, 50, 1);
  EXPECT_EQ(pass(m, 51).emitted, 0u) << "clocks may differ by a tick: CPU 0 may still stamp 50";
  EXPECT_EQ(pass(m, 52).emitted, 1u);
}

// The bound of an empty ring is T - 1: at equal times a lower CPU still goes first, a higher one need not be waited for.
TEST_F(merge_case, m1_a_tie_with_an_idle_rings_bound_is_broken_by_the_cpu) {
  make(2);
  auto m = merge();
  write(0, 50, 1);
  EXPECT_EQ(pass(m, 51).emitted, 1u) << "(50, cpu 0) comes before anything that CPU 1 can still have";
  write(1, 60, 2);
  EXPECT_EQ(pass(m, 61).emitted, 0u) << "(60, cpu 0) could still come before it";
}

// T - 1: a producer on a CPU whose clock is a tick behind stamps T - 1 after the pass has found its ring empty.
TEST_F(merge_case, m1_a_clock_that_is_a_tick_behind_does_not_break_the_order) {
  make(2);
  auto m = merge();
  write(1, 100, 2);
  const pass_result first = pass(m, 101);
  EXPECT_EQ(first.emitted, 0u);
  write(0, 100, 1);
  pass(m, 110);
  EXPECT_EQ(sink.values(), (values{1, 2}));
  EXPECT_EQ(m.merged.late_records(), 0u);
}

// M1: T is taken, then the barrier, then the rings are read. The barrier makes a store visible that was hidden when the
// producer read its clock; a pass that looked at the rings before would take the ring for empty.
TEST_F(merge_case, m1_what_the_barrier_makes_visible_is_seen_by_the_same_pass) {
  make(2);
  auto m = merge();
  write(1, 50, 2);
  time.now = 100;
  at_barrier = [&] {
    const uint64_t now = time.now;
    write(0, 40, 1);
    time.now = now;
  };
  m.pass(sink);
  EXPECT_EQ(sink.values(), (values{1, 2}));
  EXPECT_EQ(m.merged.late_records(), 0u);
}

// In every pass: a position read in an earlier pass proves nothing.
TEST_F(merge_case, m1_every_pass_reads_the_positions_again) {
  make(2);
  auto m = merge();
  pass(m, 10);
  for (uint64_t round = 0; round < 5; ++round) {
    write(1, 100 * round + 60, 2 * round + 1);
    write(0, 100 * round + 50, 2 * round);
    time.now = 100 * round + 90;
    EXPECT_EQ(pass(m, time.now).emitted, 2u);
  }
  values expected(10);
  for (uint64_t i = 0; i < 10; ++i) expected[i] = i;
  EXPECT_EQ(sink.values(), expected);
}

// M1 and M3: a reserved head can have no time less than the last one taken from its ring, and no more is assumed.
TEST_F(merge_case, m1_a_reserved_head_bounds_the_stream_by_the_last_time_taken_from_its_ring) {
  make(2);
  auto m = merge();
  write(0, 10, 1);
  write(1, 15, 2);
  pass(m, 100);
  ASSERT_EQ(sink.values(), (values{1, 2}));
  write(1, 150, 4);
  // The pass runs while CPU 0 is between publication and stamp; the clock that it reads there is less than T.
  uint32_t readings = 0;
  pass_result during;
  time.on_read = [&] {
    if (++readings != 1) return;
    time.now = 200;
    during = m.pass(sink);
    time.now = 120;
  };
  ASSERT_EQ(cpus[0]->write(3), reserve_status::ok);
  time.on_read = nullptr;
  EXPECT_EQ(during.end, pass_end::reserved);
  EXPECT_EQ(during.ring, 0u);
  EXPECT_EQ(during.emitted, 0u);
  EXPECT_FALSE(during.may_sleep());
  pass(m, 300);
  EXPECT_EQ(sink.values(), (values{1, 2, 3, 4}));
  EXPECT_EQ(m.merged.late_records(), 0u);
}

// M3: what is older than the reserved head's bound is let go.
TEST_F(merge_case, m3_a_reserved_head_does_not_hold_back_what_is_older_than_its_bound) {
  make(2);
  auto m = merge();
  write(0, 50, 1);
  record held = reserve(1, 40);
  pass(m, 100);
  ASSERT_TRUE(sink.records.empty()) << "40 is open";
  write(1, 45, 3);
  write(1, 50, 4);
  write(1, 55, 5);
  test_cpu::commit(held, 2);
  // CPU 0's record of 50 is taken, then its next head is reserved, with the bound 50.
  uint32_t readings = 0;
  time.on_read = [&] {
    if (++readings != 1) return;
    time.now = 200;
    const pass_result during = m.pass(sink);
    EXPECT_EQ(during.end, pass_end::reserved);
    time.now = 120;
  };
  ASSERT_EQ(cpus[0]->write(6), reserve_status::ok);
  time.on_read = nullptr;
  EXPECT_EQ(sink.values(), (values{2, 3, 1})) << "(50, cpu 1) waits: CPU 0 may still stamp 50";
  pass(m, 300);
  EXPECT_EQ(sink.values(), (values{2, 3, 1, 4, 5, 6}));
}

TEST_F(merge_case, m1_a_stamped_head_stops_what_is_younger_and_only_that) {
  make(3);
  auto m = merge();
  write(0, 10, 1);
  record held = reserve(1, 20);
  write(0, 15, 2);
  write(2, 20, 4);
  write(0, 30, 5);
  const pass_result result = pass(m, 100);
  EXPECT_EQ(sink.values(), (values{1, 2}));
  EXPECT_EQ(result.end, pass_end::stamped);
  EXPECT_EQ(result.ring, 1u);
  EXPECT_EQ(result.open_time, 20u);
  EXPECT_TRUE(result.closed_pending);
  EXPECT_EQ(pass(m, 1000000).emitted, 0u) << "strict order waits for ever";
  test_cpu::commit(held, 3);
  EXPECT_EQ(pass(m, 1000001).emitted, 3u) << "M3: all of it becomes final at once";
  EXPECT_EQ(sink.values(), (values{1, 2, 3, 4, 5}));
}

TEST_F(merge_case, m2_discarded_records_are_skipped_and_block_nothing) {
  make(2);
  auto m = merge();
  record a = reserve(0, 10);
  record b = reserve(1, 11);
  write(0, 12, 1);
  write(1, 13, 2);
  a.close(record_state::discarded);
  b.close(record_state::discarded);
  EXPECT_EQ(pass(m, 100).emitted, 2u);
  EXPECT_EQ(sink.values(), (values{1, 2}));
  EXPECT_EQ(m.merged.discarded_records(), 2u);
  EXPECT_EQ(cpus[0]->account(ordinary_type).discarded, 1u);
}

// A record that arrives while the pass runs has a time of T or later: it waits for the next pass, and nothing overtakes it.
TEST_F(merge_case, m1_a_record_that_arrives_during_a_pass_is_left_to_the_next) {
  make(2);
  auto m = merge();
  write(0, 10, 1);
  write(1, 30, 2);
  time.now = 100;
  sink.on_record = [&](const received& got) {
    if (got.value() == 1) write(0, 101, 3);
  };
  EXPECT_EQ(m.pass(sink).end, pass_end::idle_bound);
  EXPECT_EQ(sink.values(), (values{1, 2}));
  EXPECT_EQ(pass(m, 200).emitted, 1u);
  EXPECT_EQ(sink.values(), (values{1, 2, 3}));
  EXPECT_EQ(m.merged.late_records(), 0u);
}

// What an earlier pass left there was published up to a position that this pass has not read: past it, it looks again.
TEST_F(merge_case, m1_the_position_of_an_earlier_pass_proves_no_ring_empty) {
  make(2);
  auto m = merge();
  write(0, 10, 1);
  sink.limit = 0;
  EXPECT_EQ(pass(m, 15).end, pass_end::sink_full);
  sink.limit = 100;
  write(0, 20, 2);
  write(1, 30, 3);
  EXPECT_EQ(pass(m, 100).emitted, 3u);
  EXPECT_EQ(sink.values(), (values{1, 2, 3}));
  EXPECT_EQ(m.merged.late_records(), 0u);
}

// A batch from one ring ends where another ring's record comes first, also at equal times.
TEST_F(merge_case, m1_a_batch_of_one_ring_ends_at_the_next_ring_s_first_record) {
  make(3);
  auto m = merge();
  for (uint64_t at : {10u, 20u, 30u, 40u, 50u}) write(1, at, at);
  write(0, 30, 29);
  write(2, 30, 31);
  write(0, 45, 45);
  write(2, 50, 51);
  pass(m, 100);
  EXPECT_EQ(sink.values(), (values{10, 20, 29, 30, 31, 40, 45, 50, 51}));
}

TEST_F(merge_case, m2_a_sink_that_refuses_keeps_the_record_where_it_is) {
  make(2);
  auto m = merge();
  for (uint64_t i = 0; i < 10; ++i) write(i % 2, 10 + i, i);
  for (size_t limit = 1; limit <= 10; ++limit) {
    sink.limit = limit;
    const pass_result result = pass(m, 100);
    EXPECT_EQ(result.emitted, 1u);
    if (limit < 10) {
      EXPECT_EQ(result.end, pass_end::sink_full);
      EXPECT_FALSE(result.may_sleep());
      EXPECT_TRUE(result.closed_pending);
    }
  }
  EXPECT_EQ(sink.values(), (values{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_EQ(pass(m, 200).emitted, 0u) << "each exactly once";
}

TEST_F(merge_case, a_damaged_ring_ends_the_pass_and_is_named) {
  make(2);
  auto m = merge();
  write(0, 10, 1);
  write(1, 20, 2);
  const_cast<record_header&>(cpus[1]->main.header_at(0)).state_and_length = 0;
  const pass_result result = pass(m, 100);
  EXPECT_EQ(result.end, pass_end::damaged);
  EXPECT_EQ(result.ring, 1u);
  EXPECT_FALSE(result.may_sleep());
  EXPECT_TRUE(m.readers[1].damaged());
}
