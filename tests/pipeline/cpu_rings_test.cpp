// pipeline/cpu_rings.h: write, reserve, commit and discard as a producer calls them.
#include "pipeline/cpu_rings.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "tests/pipeline/one_cpu_case.h"

using namespace sluice;
using namespace sluice::test;

namespace {

using cpu_rings_case = one_cpu_case;

}  // namespace

TEST_F(cpu_rings_case, a_written_record_is_committed_at_once_and_whole) {
  time.now = 77;
  ASSERT_EQ(cpu.write(5, 33), reserve_status::ok);
  const received got = next();
  EXPECT_EQ(got.type, ordinary_type);
  EXPECT_EQ(got.time, 77u);
  EXPECT_EQ(got.payload.size(), 33u);
  EXPECT_EQ(got.value(), 5u);
  EXPECT_TRUE(got.intact());
}

TEST_F(cpu_rings_case, a_record_without_payload_is_a_record) {
  ASSERT_EQ(cpu.rings.write(ordinary_type, 1, nullptr, 0), reserve_status::ok);
  EXPECT_TRUE(next().payload.empty());
  EXPECT_EQ(from.look().state, head_state::empty);
}

TEST_F(cpu_rings_case, a_reservation_is_stamped_until_it_is_closed) {
  time.now = 9;
  record open;
  ASSERT_EQ(cpu.reserve(open, 24), reserve_status::ok);
  EXPECT_EQ(open.payload_length(), 24u);
  EXPECT_EQ(from.look().state, head_state::stamped);
  EXPECT_EQ(from.look().time, 9u);
  test_cpu::commit(open, 1);
  EXPECT_TRUE(next().intact());
}

TEST_F(cpu_rings_case, what_prepare_writes_is_there_before_the_record_can_be_seen) {
  record open;
  uint32_t published_at_prepare = 1;
  ASSERT_EQ(cpu.rings.reserve(ordinary_type, 1, 16, open,
                              [&](const record& r) {
                                published_at_prepare = cpu.main.published();
                                test_cpu::fill(r, 4711);
                              }),
            reserve_status::ok);
  EXPECT_EQ(published_at_prepare, 0u);
  const ring_head head = from.look();
  ASSERT_EQ(head.state, head_state::stamped);
  EXPECT_EQ(receive(from.view(head)).value(), 4711u);
}

// Step 3 of the design: M1 rests on it. When the clock is read, the record must already be in the ring, without a time.
TEST_F(cpu_rings_case, m1_the_clock_is_read_after_the_record_was_published) {
  uint32_t checked = 0;
  const auto look_into_the_ring = [&checked](const lane& ring) {
    return [&checked, where = &ring, at = ring.published()] {
      EXPECT_NE(where->published(), at) << "the clock was read before the position was published";
      EXPECT_EQ(state_of(where->header_at(at).state_and_length), record_state::reserved);
      ++checked;
    };
  };
  time.on_read = look_into_the_ring(cpu.main);
  ASSERT_EQ(cpu.write(1), reserve_status::ok);
  record open;
  time.on_read = look_into_the_ring(cpu.main);
  ASSERT_EQ(cpu.reserve(open), reserve_status::ok);
  EXPECT_EQ(checked, 2u);

  // The spare lane as well: the open record keeps the main ring full.
  time.on_read = nullptr;
  for (uint32_t i = 0; i < more_than_fit && cpu.spare.published() == 0; ++i) {
    ASSERT_EQ(cpu.write(2, 64, critical_type), reserve_status::ok);
  }
  ASSERT_NE(cpu.spare.published(), 0u);
  time.on_read = look_into_the_ring(cpu.spare);
  ASSERT_EQ(cpu.write(3, 64, critical_type), reserve_status::ok);
  time.on_read = look_into_the_ring(cpu.spare);
  record spare_open;
  ASSERT_EQ(cpu.reserve(spare_open, 64, critical_type), reserve_status::ok);
  EXPECT_EQ(checked, 4u);
}

// R2
TEST_F(cpu_rings_case, r2_times_do_not_decrease_though_the_clock_does) {
  uint64_t last = 0;
  std::mt19937_64 random(1);
  for (uint32_t i = 0; i < 5000; ++i) {
    time.now = 1000 + i / 10 - random() % 200;
    record open;
    if (i % 3 == 0) {
      ASSERT_EQ(cpu.reserve(open), reserve_status::ok);
      open.close(i % 2 == 0 ? record_state::committed : record_state::discarded);
    } else {
      ASSERT_EQ(cpu.write(i), reserve_status::ok);
    }
    const ring_head head = from.look();
    ASSERT_NE(head.state, head_state::empty);
    EXPECT_GE(head.time, last);
    last = head.time;
    from.take(head);
    from.release();
  }
}

TEST_F(cpu_rings_case, a_type_that_the_format_does_not_have_is_refused_and_counted_nowhere) {
  record open;
  for (uint16_t type : {uint16_t{record_type_invalid}, uint16_t{max_record_types}, uint16_t{0xffff}}) {
    EXPECT_EQ(cpu.write(1, 8, type), reserve_status::invalid_type) << type;
    EXPECT_EQ(cpu.reserve(open, 8, type), reserve_status::invalid_type) << type;
  }
  EXPECT_EQ(cpu.main.published(), 0u);
  EXPECT_EQ(cpu.rings.row(0).attempted, 0u);
  EXPECT_EQ(cpu.write(1, 8, max_record_types - 1), reserve_status::ok);
}

TEST_F(cpu_rings_case, the_longest_record_fits_and_one_byte_more_is_dropped_as_too_long) {
  const uint32_t longest = small_main.max_record - record_header_size;
  EXPECT_EQ(cpu.write(1, longest), reserve_status::ok);
  EXPECT_TRUE(next().intact());
  from.release();
  EXPECT_EQ(cpu.write(2, longest + 1), reserve_status::dropped);
  EXPECT_EQ(cpu.rings.row(ordinary_type).dropped[static_cast<uint32_t>(drop_reason::too_long)], 1u);
  EXPECT_EQ(cpu.main.published(), small_main.max_record);
}

// A length near 2^32 must not come around as a short one.
TEST_F(cpu_rings_case, a_length_that_wraps_is_too_long_and_its_bytes_are_announced) {
  record open;
  EXPECT_EQ(cpu.reserve(open, 0xffffffff), reserve_status::dropped);
  EXPECT_EQ(cpu.reserve(open, 0xfffffff0), reserve_status::dropped);
  EXPECT_EQ(cpu.reserve(open, 0xfffffff0, critical_type), reserve_status::dropped);
  EXPECT_EQ(cpu.rings.row(ordinary_type).dropped[static_cast<uint32_t>(drop_reason::too_long)], 2u);
  ASSERT_EQ(cpu.write(1), reserve_status::ok);
  const received loss = next();
  ASSERT_EQ(loss.type, record_type_loss);
  EXPECT_EQ(decode_loss(loss.payload).fixed.bytes, 0xffffffffull + 2 * 0xfffffff0ull + 3 * record_header_size);
}

// R1 and M2: nested reservations of one CPU, closed in any order and by any thread.
TEST_F(cpu_rings_case, nested_reservations_are_closed_in_any_order_and_from_other_threads) {
  std::mt19937_64 random(2);
  uint64_t reserved = 0;
  uint64_t seen = 0;
  for (uint32_t round = 0; round < 200; ++round) {
    std::vector<std::pair<record, uint64_t>> open(1 + random() % 12);
    for (auto& [each, value] : open) {
      value = reserved++;
      ASSERT_EQ(cpu.reserve(each, 8 + static_cast<uint32_t>(random() % 100)), reserve_status::ok);
    }
    std::shuffle(open.begin(), open.end(), random);
    std::thread other([&] {
      for (size_t i = 0; i < open.size(); i += 2) test_cpu::commit(open[i].first, open[i].second);
    });
    for (size_t i = 1; i < open.size(); i += 2) test_cpu::commit(open[i].first, open[i].second);
    other.join();
    for (size_t i = 0; i < open.size(); ++i) {
      const received got = next();
      EXPECT_EQ(got.value(), seen++);
      EXPECT_TRUE(got.intact());
    }
    EXPECT_EQ(from.look().state, head_state::empty);
    from.release();
  }
  EXPECT_EQ(cpu.rings.violations(), 0u);
  const account_row row = cpu.account(ordinary_type);
  EXPECT_EQ(row.committed, reserved);
  EXPECT_TRUE(row.balances());
}

// Both lanes of a CPU share one clock: where the lane changes, time rises strictly, or the merge could not tell the order.
TEST_F(cpu_rings_case, r2_times_rise_strictly_where_the_lane_changes) {
  time.now = 100;
  record held;
  ASSERT_EQ(cpu.reserve(held), reserve_status::ok);
  while (cpu.spare.published() == 0) ASSERT_EQ(cpu.write(1, 200, critical_type), reserve_status::ok);
  // The main ring is too full for 200 bytes but not for 8: lanes alternate while the clock stands still.
  reader spare;
  spare.attach(cpu.spare.view);
  std::vector<std::pair<uint64_t, uint8_t>> times;
  ring_head head = from.look();
  EXPECT_EQ(head.time, 100u);
  spare.take(spare.look());
  for (uint32_t i = 0; i < 3; ++i) {
    const uint32_t main_before = cpu.main.published();
    ASSERT_EQ(cpu.write(2, 8, critical_type), reserve_status::ok);
    ASSERT_NE(cpu.main.published(), main_before) << "the test needs room for small records";
    times.emplace_back(time_of(cpu.main.header_at(main_before)), lane_main);
    const uint32_t spare_before = cpu.spare.published();
    ASSERT_EQ(cpu.write(3, 200, critical_type), reserve_status::ok);
    ASSERT_NE(cpu.spare.published(), spare_before);
    times.emplace_back(time_of(cpu.spare.header_at(spare_before)), lane_spare);
  }
  for (size_t i = 1; i < times.size(); ++i) EXPECT_GT(times[i].first, times[i - 1].first) << i;
}
