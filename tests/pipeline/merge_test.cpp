// pipeline/merge.h: M1, M2, M3 by hand-made interleavings. The clock stands still until the test moves it; what happens
// between two steps of a pass is a script run by the barrier, the clock or the sink.
#include "pipeline/merge.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/pipeline/support.h"

using namespace sluice;
using namespace sluice::test;

namespace {

// Some CPUs' main lanes; time is set before each event.
struct merge_case : testing::Test {
  manual_time time;
  std::vector<std::unique_ptr<test_cpu>> cpus;
  std::function<void()> at_barrier;
  collector sink;

  void make(uint32_t count, const cpu_options& base = {}) {
    for (uint32_t i = 0; i < count; ++i) {
      cpu_options options = base;
      options.cpu = static_cast<uint16_t>(i);
      cpus.push_back(std::make_unique<test_cpu>(manual_clock{&time}, options));
    }
  }
  std::vector<const lane*> mains() const {
    std::vector<const lane*> lanes;
    for (const auto& cpu : cpus) lanes.push_back(&cpu->main);
    return lanes;
  }
  exact_merge merge(merge_options options = {}) {
    return exact_merge(manual_clock{&time}, exact(scripted_barrier{&at_barrier}), mains(), options);
  }
  void write(uint32_t cpu, uint64_t at, uint64_t value) {
    time.now = at;
    ASSERT_EQ(cpus[cpu]->write(value), reserve_status::ok);
  }
  record reserve(uint32_t cpu, uint64_t at) {
    time.now = at;
    record open;
    EXPECT_EQ(cpus[cpu]->reserve(open), reserve_status::ok);
    return open;
  }
  pass_result pass(exact_merge& m, uint64_t at) {
    time.now = at;
    const pass_result result = m.pass(sink);
    m.merged.release();
    return result;
  }
};
using values = std::vector<uint64_t>;

}  // namespace

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

// 256 CPUs of two lanes each, random times and ties: the stream is the sorted union.
TEST_F(merge_case, m1_m2_many_rings_give_the_sorted_union) {
  make(256);
  exact_merge m(manual_clock{&time}, exact(scripted_barrier{&at_barrier}), lanes_of(cpus));
  std::mt19937_64 random(9);
  std::vector<std::tuple<uint64_t, uint32_t, uint64_t>> expected;
  uint64_t now = 10;
  for (uint64_t i = 0; i < 10000; ++i) {
    now += random() % 2;
    const uint32_t cpu = static_cast<uint32_t>(random() % 256);
    write(cpu, now, i);
    expected.emplace_back(now, cpu, i);
  }
  std::sort(expected.begin(), expected.end());
  pass(m, now + 10);
  ASSERT_EQ(sink.records.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) ASSERT_EQ(sink.records[i].value(), std::get<2>(expected[i])) << i;
  for (size_t i = 1; i < expected.size(); ++i) ASSERT_GT(sink.records[i].place(), sink.records[i - 1].place());
}

TEST_F(merge_case, m1_both_lanes_of_a_cpu_come_in_the_order_of_writing) {
  make(1);
  exact_merge m(manual_clock{&time}, exact(scripted_barrier{&at_barrier}), lanes_of(cpus));
  time.now = 100;  // the clock stands still: only the lanes' own rule keeps them apart
  uint64_t value = 0;
  record held = reserve(0, 100);
  while (cpus[0]->spare.published() < 2000) {
    ASSERT_EQ(cpus[0]->write(value, value % 2 == 0 ? 200 : 8, critical_type), reserve_status::ok);
    ++value;
  }
  held.close(record_state::discarded);
  pass(m, 100000);
  ASSERT_EQ(sink.records.size(), value);
  for (uint64_t i = 0; i < value; ++i) EXPECT_EQ(sink.records[i].value(), i);
}

namespace {

// A sink that says how many rings there are; on_asked runs first.
struct growing_collector : collector {
  uint32_t rings = 0;
  std::function<void()> on_asked;
  uint32_t ring_count() {
    if (on_asked) on_asked();
    return rings;
  }
};

struct growing_case : merge_case {
  growing_collector growing;

  // A merge over the first `count` of the CPUs, with memory for all.
  std::unique_ptr<exact_merge> merge_over(uint32_t count, merge_options options = {}) {
    auto m = std::make_unique<exact_merge>(manual_clock{&time}, exact(scripted_barrier{&at_barrier}), mains(), options);
    m->merged.attach(m->readers.data(), m->heads.data(), m->nodes.data(), count, options);
    growing.rings = count;
    return m;
  }
  pass_result grow_pass(exact_merge& m, uint64_t at) {
    time.now = at;
    const pass_result result = m.merged.pass(growing);
    m.merged.release();
    return result;
  }
};

}  // namespace

TEST_F(growing_case, m1_rings_that_are_added_take_part_at_once) {
  make(9);
  auto m = merge_over(2);
  write(1, 10, 1);
  EXPECT_EQ(grow_pass(*m, 20).emitted, 1u);
  for (uint32_t cpu = 2; cpu < 9; ++cpu) {
    growing.rings = cpu + 1;
    write(0, 100 * cpu + 2, 2);
    write(cpu, 100 * cpu + 1, 1);
    write(1, 100 * cpu + 3, 3);
    EXPECT_EQ(grow_pass(*m, 100 * cpu + 10).emitted, 3u) << cpu;
  }
  for (size_t i = 1; i < growing.records.size(); ++i) {
    EXPECT_LT(growing.records[i - 1].place(), growing.records[i].place());
  }
  EXPECT_EQ(m->merged.late_records(), 0u);
}

// The rings are counted after T: one that is added, and written to, between the last pass and T is looked at in this pass.
TEST_F(growing_case, m1_a_ring_that_is_added_before_t_is_in_the_pass) {
  make(3);
  auto m = merge_over(2);
  write(1, 50, 2);
  time.on_read = [this] {  // the clock is read: T
    if (growing.rings == 3) return;
    growing.rings = 3;
    const uint64_t now = time.now;
    write(2, 40, 1);
    time.now = now;
  };
  EXPECT_EQ(grow_pass(*m, 60).emitted, 2u);
  EXPECT_EQ(growing.values(), (values{1, 2}));
  EXPECT_EQ(m->merged.late_records(), 0u);
}

TEST_F(growing_case, m1_a_ring_that_is_added_joins_the_epoch_of_the_stream) {
  cpu_options options;
  options.step_back = 10;
  make(3, options);
  auto m = merge_over(2, {0, 10});
  write(0, 100000, 1);
  EXPECT_EQ(grow_pass(*m, 100010).emitted, 1u);
  write(0, 100, 2);
  EXPECT_EQ(grow_pass(*m, 150).emitted, 1u);
  growing.rings = 3;
  write(2, 200, 3);
  write(1, 210, 4);
  EXPECT_EQ(grow_pass(*m, 250).emitted, 2u);
  EXPECT_EQ(growing.values(), (values{1, 2, 3, 4}));
  EXPECT_EQ(growing.epochs.size(), 1u);
}
