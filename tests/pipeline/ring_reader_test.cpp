// pipeline/ring_reader.h: the consumer's side of one ring.
#include "pipeline/ring_reader.h"

#include <gtest/gtest.h>

#include "tests/pipeline/one_cpu_case.h"

using namespace sluice;
using namespace sluice::test;

namespace {

struct reader_case : one_cpu_case {
  reader_case() : one_cpu_case({10, 1, {}}) {}
  record_header& header(uint32_t position) {
    return *reinterpret_cast<record_header*>(cpu.main.view.data.bytes(position & (small_main.capacity - 1)));
  }
};

}  // namespace

TEST_F(reader_case, an_empty_ring_is_empty_until_something_is_published) {
  EXPECT_EQ(from.look().state, head_state::empty);
  ASSERT_EQ(cpu.write(1), reserve_status::ok);
  EXPECT_EQ(from.look().state, head_state::committed);
}

// The position is read again when the cursor reaches it: an old reading proves nothing.
TEST_F(reader_case, m3_the_position_is_read_again_where_the_last_reading_ends) {
  for (uint64_t i = 0; i < 5; ++i) {
    ASSERT_EQ(cpu.write(i), reserve_status::ok);
    const ring_head head = from.look();
    ASSERT_EQ(head.state, head_state::committed);
    EXPECT_EQ(receive(from.view(head)).value(), i);
    ASSERT_EQ(cpu.write(100 + i), reserve_status::ok);
    from.take(head);
    const ring_head behind = from.look();
    ASSERT_EQ(behind.state, head_state::committed) << "it was published before the look";
    EXPECT_EQ(receive(from.view(behind)).value(), 100 + i);
    from.take(behind);
  }
}

TEST_F(reader_case, looking_twice_takes_nothing) {
  ASSERT_EQ(cpu.write(1), reserve_status::ok);
  (void)from.look();
  EXPECT_EQ(from.cursor(), 0u);
  EXPECT_EQ(from.look().state, head_state::committed);
  EXPECT_EQ(cpu.main.consumed(), 0u);
}

TEST_F(reader_case, a_reserved_head_is_bounded_by_the_last_time_taken_here) {
  ASSERT_EQ(cpu.write(1), reserve_status::ok);
  ring_head head = from.look();
  const uint64_t last = head.time;
  from.take(head);
  // A record caught between publication and stamp: at the reading of its clock.
  uint64_t looked = 0;
  time.on_read = [&] {
    const ring_head between = from.look();
    EXPECT_EQ(between.state, head_state::reserved);
    EXPECT_EQ(between.time, last);
    ++looked;
  };
  time.now = 1000;
  ASSERT_EQ(cpu.write(2), reserve_status::ok);
  EXPECT_EQ(looked, 1u);
  EXPECT_EQ(from.look().time, 1000u);
}

TEST_F(reader_case, nothing_is_given_back_before_release) {
  ASSERT_EQ(cpu.write(1), reserve_status::ok);
  from.take(from.look());
  EXPECT_EQ(cpu.main.consumed(), 0u);
  from.release();
  EXPECT_EQ(cpu.main.consumed(), cpu.main.published());
}

TEST_F(reader_case, a_record_set_aside_keeps_its_room_and_is_offered_when_it_is_closed) {
  record open;
  ASSERT_EQ(cpu.reserve(open, 16), reserve_status::ok);
  ASSERT_EQ(cpu.write(2), reserve_status::ok);
  from.set_aside(from.look());
  const ring_head behind = from.look();
  EXPECT_EQ(behind.state, head_state::committed);
  from.take(behind);
  from.release();
  EXPECT_EQ(cpu.main.consumed(), 0u) << "R1: not past the open record";
  uint32_t offered = 0;
  const auto refuse = [&](const record_view<native_seam>&) {
    ++offered;
    return false;
  };
  EXPECT_EQ(from.take_late(refuse).accepted, 0u);
  EXPECT_EQ(offered, 0u) << "it is still open";
  test_cpu::commit(open, 5);
  EXPECT_EQ(from.take_late(refuse).accepted, 0u);
  EXPECT_EQ(offered, 1u);
  EXPECT_EQ(from.set_aside_count(), 1u) << "a refused record stays";
  std::vector<received> got;
  EXPECT_EQ(from.take_late([&](const record_view<native_seam>& late) {
    got.push_back(receive(late));
    return true;
  }).accepted,
            1u);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_TRUE(got[0].late);
  EXPECT_TRUE(got[0].intact());
  EXPECT_EQ(got[0].value(), 5u);
  EXPECT_EQ(got[0].position, 0u);
  EXPECT_EQ(from.set_aside_count(), 0u);
  from.release();
  EXPECT_EQ(cpu.main.consumed(), cpu.main.published());
}

TEST_F(reader_case, room_is_given_back_up_to_the_oldest_record_set_aside) {
  std::vector<record> open(3);
  std::vector<uint32_t> at;
  for (record& each : open) {
    at.push_back(cpu.main.published());
    ASSERT_EQ(cpu.reserve(each, 16), reserve_status::ok);
    from.set_aside(from.look());
  }
  const auto accept = [](const record_view<native_seam>&) { return true; };
  open[1].close(record_state::discarded);
  EXPECT_EQ(from.take_late(accept).accepted, 0u);
  EXPECT_EQ(from.set_aside_count(), 2u);
  from.release();
  EXPECT_EQ(cpu.main.consumed(), at[0]);
  test_cpu::commit(open[0], 1);
  EXPECT_EQ(from.take_late(accept).accepted, 1u);
  from.release();
  EXPECT_EQ(cpu.main.consumed(), at[2]);
  open[2].close(record_state::committed);
  EXPECT_EQ(from.take_late(accept).accepted, 1u);
  from.release();
  EXPECT_EQ(cpu.main.consumed(), cpu.main.published());
}

TEST_F(reader_case, only_so_many_records_can_be_set_aside) {
  for (uint32_t i = 0; i < reader::max_set_aside; ++i) {
    record open;
    ASSERT_EQ(cpu.reserve(open), reserve_status::ok);
    ASSERT_TRUE(from.can_set_aside());
    from.set_aside(from.look());
  }
  EXPECT_FALSE(from.can_set_aside());
}

TEST_F(reader_case, a_walk_sees_every_record_and_takes_none) {
  record open;
  record dropped;
  ASSERT_EQ(cpu.write(1), reserve_status::ok);
  ASSERT_EQ(cpu.reserve(open), reserve_status::ok);
  ASSERT_EQ(cpu.reserve(dropped), reserve_status::ok);
  dropped.close(record_state::discarded);
  std::vector<head_state> states;
  EXPECT_TRUE(from.walk(0, cpu.main.published(), [&](uint16_t type, const ring_head& head) {
    EXPECT_EQ(type, ordinary_type);
    states.push_back(head.state);
  }));
  EXPECT_EQ(states, (std::vector<head_state>{head_state::committed, head_state::stamped, head_state::discarded}));
  EXPECT_EQ(from.cursor(), 0u);
}

// A ring that contradicts itself is never followed.
TEST_F(reader_case, each_contradiction_is_damage_for_good) {
  ASSERT_EQ(cpu.write(1, 24), reserve_status::ok);
  const record_header whole = header(0);
  const auto damaged_by = [&](uint32_t state_and_length) {
    reader fresh;
    fresh.attach(cpu.main.view);
    header(0).state_and_length = state_and_length;
    const bool damaged = fresh.look().state == head_state::damaged;
    header(0) = whole;
    EXPECT_EQ(fresh.damaged(), damaged);
    EXPECT_EQ(fresh.look().state == head_state::damaged, damaged) << "damage stays";
    return damaged;
  };
  EXPECT_FALSE(damaged_by(whole.state_and_length));
  EXPECT_TRUE(damaged_by(0)) << "never written";
  EXPECT_TRUE(damaged_by(make_state_and_length(record_state::none, 40))) << "a length without a state";
  EXPECT_TRUE(damaged_by(make_state_and_length(static_cast<record_state>(5), 40)));
  EXPECT_TRUE(damaged_by(make_state_and_length(static_cast<record_state>(15), 40)));
  EXPECT_TRUE(damaged_by(make_state_and_length(record_state::committed, 15))) << "shorter than a header";
  EXPECT_TRUE(damaged_by(make_state_and_length(record_state::committed, 41))) << "past the published position";
  EXPECT_TRUE(damaged_by(make_state_and_length(record_state::reserved, small_main.max_record + 8)));
}

TEST_F(reader_case, a_position_further_ahead_than_the_ring_is_long_is_damage) {
  ASSERT_EQ(cpu.write(1, 24), reserve_status::ok);
  cpu.main.view.producer->published.store(small_main.capacity + 8, memory_order::release);
  EXPECT_EQ(from.look().state, head_state::damaged);
}

TEST_F(reader_case, a_damaged_ring_does_not_pass_for_an_empty_one) {
  EXPECT_FALSE(from.walk(0, 40, [](uint16_t, const ring_head&) { FAIL() << "there is no record"; }));
  EXPECT_TRUE(from.damaged());
  EXPECT_EQ(from.look().state, head_state::damaged);
}

TEST_F(reader_case, no_record_is_longer_than_the_longest) {
  while (cpu.write(1, 48) == reserve_status::ok) {
  }
  header(0).state_and_length = make_state_and_length(record_state::committed, small_main.max_record + 8);
  EXPECT_EQ(from.look().state, head_state::damaged) << "though as much was published";
}
