// pipeline/merge.h: many rings, both lanes of a CPU, and rings that are added while the merge goes on.
#include <random>

#include "tests/pipeline/merge_case.h"

using namespace sluice;
using namespace sluice::test;

namespace {

// A sink that says how many rings there are.
struct growing_collector : collector {
  uint32_t rings = 0;
  uint32_t ring_count() const { return rings; }
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

// 256 CPUs of two lanes each, random times and ties: the stream is the sorted union.
TEST_F(merge_case, m1_m2_many_rings_give_the_sorted_union) {
  make(256);
  auto m = merge_of(lanes_of(cpus));
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
  auto m = merge_of(lanes_of(cpus));
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

// What a ring that comes in the middle of a pass has to say is younger than that pass's T, and nothing younger may have gone before.
TEST_F(growing_case, m1_while_rings_can_come_a_pass_emits_nothing_that_is_younger_than_its_t) {
  make(3);
  auto m = merge_over(2, {.most_rings = 3});
  write(0, 10, 1);
  write(1, 12, 2);
  write(0, 60, 3);  // both are busy, beyond T
  write(1, 70, 4);
  const pass_result first = grow_pass(*m, 50);
  EXPECT_EQ(first.emitted, 2u);
  EXPECT_EQ(first.end, pass_end::idle_bound);
  EXPECT_TRUE(first.closed_pending);
  EXPECT_FALSE(first.may_sleep());
  growing.rings = 3;  // it came meanwhile
  write(2, 55, 5);
  write(2, 75, 6);
  write(0, 80, 7);
  EXPECT_EQ(grow_pass(*m, 65).emitted, 3u) << "all have come: who is busy is not held back by T";
  EXPECT_EQ(grow_pass(*m, 100).emitted, 2u);
  EXPECT_EQ(m->merged.late_records(), 0u);
  for (size_t i = 1; i < growing.records.size(); ++i) {
    EXPECT_LT(growing.records[i - 1].place(), growing.records[i].place());
  }
}

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

// Its clock steps back before any pass has found it empty, which would tell it the epoch as well.
TEST_F(growing_case, m1_a_ring_that_is_added_counts_its_own_steps_from_the_epoch_of_the_stream) {
  cpu_options options;
  options.step_back = 10;
  make(3, options);
  auto m = merge_over(2, {0, 10});
  write(0, 200000, 1);
  EXPECT_EQ(grow_pass(*m, 200010).emitted, 1u);
  write(0, 100000, 2);
  EXPECT_EQ(grow_pass(*m, 100050).emitted, 1u);
  growing.rings = 3;
  write(2, 100100, 3);
  write(2, 100, 4);
  EXPECT_EQ(grow_pass(*m, 200).emitted, 2u);
  EXPECT_EQ(growing.values(), (values{1, 2, 3, 4}));
  ASSERT_EQ(growing.epochs.size(), 2u);
  EXPECT_EQ(growing.epochs[0].epoch, 1u);
  EXPECT_EQ(growing.epochs[1].epoch, 2u);
}
