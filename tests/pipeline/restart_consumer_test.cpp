// Another consumer takes over: what the former one claimed beyond what was walked is void, nothing is skipped, and identities go
// on (R5, M2).
#include <gtest/gtest.h>

#include "tests/pipeline/one_cpu_case.h"

namespace sluice::test {
namespace {

struct restart_case : one_cpu_case {
  void settle() {
    for (uint32_t i = 0; i < 1000 && !cpu.rings.settle(); ++i) {
    }
  }
  // What a consumer that begins there reads.
  std::vector<uint64_t> read_from(uint64_t position) {
    std::vector<uint64_t> values;
    from.resume(position);
    for (ring_head head = from.look(); head.state == head_state::committed; head = from.look()) {
      values.push_back(receive(from.view(head)).value());
      from.take(head);
    }
    from.release();
    return values;
  }
};

TEST_F(restart_case, an_honest_claim_is_where_the_next_consumer_begins) {
  for (uint64_t value = 0; value < 10; ++value) ASSERT_EQ(cpu.write(value), reserve_status::ok);
  for (int taken = 0; taken < 4; ++taken) (void)next();
  from.release();
  settle();
  const auto restart = cpu.rings.restart_consumer();
  EXPECT_EQ(restart.begins[lane_main], from.released());
  EXPECT_EQ(cpu.main.consumed(), static_cast<uint32_t>(restart.begins[lane_main]));
  EXPECT_EQ(read_from(restart.begins[lane_main]), (std::vector<uint64_t>{4, 5, 6, 7, 8, 9}));
}

TEST_F(restart_case, a_hostile_claim_is_void_with_its_violation_which_stays_counted) {
  for (uint64_t value = 0; value < 10; ++value) ASSERT_EQ(cpu.write(value), reserve_status::ok);
  (void)next();
  from.release();
  settle();
  cpu.main.claim(cpu.main.published() + 8);
  settle();
  ASSERT_EQ(cpu.rings.violations(), 1u);
  const auto restart = cpu.rings.restart_consumer();
  EXPECT_EQ(read_from(restart.begins[lane_main]).size(), 9u) << "all that was not honestly given back";
  EXPECT_EQ(cpu.rings.violations(), 1u);
  for (uint64_t value = 0; value < 1000; ++value) {
    ASSERT_EQ(cpu.write(value), reserve_status::ok) << "room is given back again";
    ASSERT_EQ(next().value(), value);
    from.release();
  }
  EXPECT_EQ(cpu.rings.violations(), 1u);
}

TEST_F(restart_case, a_claim_inside_a_record_that_was_believed_so_far_is_void) {
  for (uint64_t value = 0; value < 10; ++value) ASSERT_EQ(cpu.write(value), reserve_status::ok);
  cpu.main.claim(cpu.main.published() - 8);
  settle();
  const auto restart = cpu.rings.restart_consumer();
  EXPECT_EQ(read_from(restart.begins[lane_main]), (std::vector<uint64_t>{9}));
  for (uint64_t value = 0; value < 1000; ++value) {
    ASSERT_EQ(cpu.write(value), reserve_status::ok);
    (void)next();
    from.release();
  }
}

TEST_F(restart_case, what_had_been_announced_is_known) {
  uint64_t dropped = 0;
  while (cpu.write(1, 100) == reserve_status::ok) {
  }
  for (int i = 0; i < 4; ++i) dropped += cpu.write(1, 100) == reserve_status::dropped;
  ++dropped;  // the one that ended the loop
  EXPECT_EQ(cpu.rings.restart_consumer().announced, 0u) << "no LOSS record stands in front of anything yet";
  while (from.look().state == head_state::committed) from.take(from.look());
  from.release();
  ASSERT_EQ(cpu.write(2), reserve_status::ok);
  EXPECT_EQ(cpu.rings.restart_consumer().announced, dropped);
}

TEST(restart_consumer, identities_go_on_after_the_positions_have_wrapped) {
  cpu_options options;
  options.start_position = 0xffffff00u;
  manual_time time;
  test_cpu cpu{manual_clock{&time}, options};
  reader from;
  from.attach(cpu.main.view);
  for (uint64_t value = 0; value < 2000; ++value) {
    ASSERT_EQ(cpu.write(value, 64), reserve_status::ok);
    const ring_head head = from.look();
    ASSERT_EQ(head.state, head_state::committed);
    from.take(head);
    from.release();
    if (value % 7 == 0) (void)cpu.rings.settle();
  }
  for (uint32_t i = 0; i < 1000 && !cpu.rings.settle(); ++i) {
  }
  ASSERT_GT(from.released(), uint64_t{1} << 32) << "the test did pass 2^32";
  EXPECT_EQ(cpu.rings.restart_consumer().begins[lane_main], from.released());
}

}  // namespace
}  // namespace sluice::test
