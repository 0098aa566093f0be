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
  EXPECT_EQ(cpu.main.consumed(), static_cast<uint32_t>(restart.begins[lane_main])) << "the former one's word is gone";
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

TEST_F(restart_case, nothing_is_given_back_of_what_the_former_one_claimed_behind_an_open_record) {
  for (uint64_t value = 0; value < 10; ++value) ASSERT_EQ(cpu.write(value), reserve_status::ok);
  open_record<native_seam> open;
  ASSERT_EQ(cpu.rings.reserve(ordinary_type, 1, 8, open), reserve_status::ok);
  // More than one walk passes in one step.
  while (cpu.main.published() < 3 * 1024) ASSERT_EQ(cpu.write(10), reserve_status::ok);
  cpu.main.claim(cpu.main.published());
  settle();
  ASSERT_EQ(cpu.rings.violations(), 1u);
  const auto restart = cpu.rings.restart_consumer();
  open.close(record_state::committed);
  settle();
  EXPECT_EQ(cpu.rings.where().reclaimed[lane_main], restart.where.reclaimed[lane_main]);
  EXPECT_EQ(cpu.rings.violations(), 1u);
}

TEST(restart_consumer, identities_go_on_after_more_than_one_lap_of_32_bits) {
  cpu_options options;
  options.main = {1u << 18, 1u << 16, 0};
  manual_time time;
  test_cpu cpu{manual_clock{&time}, options};
  reader from;
  from.attach(cpu.main.view);
  while (from.cursor() < (uint64_t{1} << 32) + 4096) {
    open_record<native_seam> record;
    ASSERT_EQ(cpu.rings.reserve(ordinary_type, 1, options.main.max_record - record_header_size, record), reserve_status::ok);
    record.close(record_state::discarded);
    const ring_head head = from.look();
    ASSERT_EQ(head.state, head_state::discarded);
    from.take(head);
    from.release();
  }
  for (uint32_t i = 0; i < 1000 && !cpu.rings.settle(); ++i) {
  }
  EXPECT_EQ(cpu.rings.restart_consumer().begins[lane_main], from.released());
}

// A reader that goes on, and does not go back, still sees that the clock has stepped back.
TEST(restart_consumer, a_step_of_the_clock_is_judged_by_what_the_reader_saw_before) {
  cpu_options options;
  options.step_back = 1000;
  manual_time time;
  test_cpu cpu{manual_clock{&time}, options};
  reader from;
  from.attach(cpu.main.view);
  from.expect_steps_back(options.step_back);
  time.now = 1'000'000;
  ASSERT_EQ(cpu.write(1), reserve_status::ok);
  from.take(from.look());
  time.now = 500;
  ASSERT_EQ(cpu.write(2), reserve_status::ok);
  from.resume(from.cursor());
  EXPECT_EQ(from.look().state, head_state::later_epoch);
  reader back;
  back.attach(cpu.main.view);
  back.expect_steps_back(options.step_back);
  back.take(back.look());
  back.resume(0);
  EXPECT_EQ(back.look().state, head_state::committed) << "nothing is known of what comes when it goes back";
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
