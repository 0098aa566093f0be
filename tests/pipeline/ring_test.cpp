// pipeline/ring.h alone: place, publish, stamp, close, reclaim.
#include "pipeline/ring.h"

#include <gtest/gtest.h>

#include "tests/pipeline/support.h"

using namespace sluice;
using namespace sluice::test;

namespace {

struct bare_ring {
  explicit bare_ring(uint32_t start_position = 0, const ring_geometry& geometry = small_main)
      : memory(geometry, 0, lane_main, start_position) {
    ring.attach(memory.view);
    account.attach(&memory.view.producer->loss);
  }
  bool place(uint32_t length, bool critical = false) {
    return ring.place({length, critical ? critical_type : ordinary_type, 1, critical}, account, open, loss);
  }
  // A whole record.
  bool put(uint32_t length, record_state state = record_state::committed) {
    if (!place(length)) return false;
    ring.publish();
    ring.stamp(open, 1);
    open.close(state);
    return true;
  }
  uint32_t used() const { return ring.write_position() - ring.reclaimed_position(); }
  record_state state_at(uint32_t position) const { return state_of(memory.header_at(position).state_and_length); }

  lane memory;
  sluice::ring<native_seam> ring;
  ledger<native_seam> account;
  record open{};
  record loss{};
};

}  // namespace

TEST(ring, a_placed_record_is_reserved_and_cannot_be_seen_until_it_is_published) {
  bare_ring r;
  ASSERT_TRUE(r.place(40));
  EXPECT_EQ(r.memory.published(), 0u);
  EXPECT_EQ(r.state_at(0), record_state::reserved);
  EXPECT_EQ(length_of(r.memory.header_at(0).state_and_length), 40u);
  EXPECT_EQ(r.open.payload_length(), 24u);
  r.ring.publish();
  EXPECT_EQ(r.memory.published(), 40u);
}

TEST(ring, a_header_names_type_version_and_whether_it_is_critical) {
  bare_ring r;
  ASSERT_TRUE(r.ring.place({24, 63, 7, true}, r.account, r.open, r.loss));
  EXPECT_EQ(r.memory.header_at(0).type, 63);
  EXPECT_EQ(r.memory.header_at(0).version, 7);
  EXPECT_EQ(r.memory.header_at(0).flags, record_flag_critical);
  ASSERT_TRUE(r.ring.place({24, 12, 255, false}, r.account, r.open, r.loss));
  EXPECT_EQ(r.memory.header_at(24).type, 12);
  EXPECT_EQ(r.memory.header_at(24).version, 255);
  EXPECT_EQ(r.memory.header_at(24).flags, 0);
}

TEST(ring, a_record_goes_from_reserved_to_stamped_to_closed) {
  for (auto end : {record_state::committed, record_state::discarded}) {
    bare_ring r;
    ASSERT_TRUE(r.place(24));
    r.ring.publish();
    r.ring.stamp(r.open, 0x123456789abcdef0);
    EXPECT_EQ(r.state_at(0), record_state::stamped);
    EXPECT_EQ(time_of(r.memory.header_at(0)), 0x123456789abcdef0u);
    r.open.close(end);
    EXPECT_EQ(r.state_at(0), end);
    EXPECT_EQ(length_of(r.memory.header_at(0).state_and_length), 24u);
  }
}

// R1, right to the last byte: what is used never exceeds the capacity, and all of it can be used.
TEST(ring, r1_a_ring_fills_to_its_last_byte_and_not_beyond) {
  bare_ring r(0, {4096, max_loss_record, 0});
  for (uint32_t i = 0; i < 4096 / 32; ++i) ASSERT_TRUE(r.put(32)) << i;
  EXPECT_EQ(r.used(), 4096u);
  EXPECT_FALSE(r.put(16));
  EXPECT_EQ(r.used(), 4096u);
  EXPECT_EQ(r.memory.published(), 4096u) << "a refused record changes nothing";
  r.memory.claim(32);
  EXPECT_FALSE(r.put(40)) << "32 bytes are free";
  EXPECT_TRUE(r.put(32));
  EXPECT_EQ(r.used(), 4096u);
  EXPECT_EQ(r.ring.violations(), 0u);
}

// R6
TEST(ring, r6_ordinary_records_leave_the_critical_part_free_to_its_last_byte) {
  bare_ring r;
  while (r.place(64)) r.ring.publish();
  EXPECT_EQ(r.used(), 4096u - 1024);
  EXPECT_FALSE(r.place(16));
  EXPECT_TRUE(r.place(1024, true)) << "the whole critical part is there";
  EXPECT_FALSE(r.place(16, true));
  EXPECT_EQ(r.used(), 4096u);
}

// R1: reclaimed never passes an open record, whatever came behind it.
TEST(ring, r1_room_behind_an_open_record_is_not_given_back) {
  bare_ring r;
  ASSERT_TRUE(r.put(32));
  ASSERT_TRUE(r.place(32));
  r.ring.publish();
  r.ring.stamp(r.open, 2);
  const record open = r.open;
  ASSERT_TRUE(r.put(32));
  r.memory.claim(32);
  EXPECT_TRUE(r.ring.reclaim_some(r.account));
  EXPECT_EQ(r.ring.reclaimed_position(), 32u);
  open.close(record_state::committed);
  r.memory.claim(96);
  EXPECT_TRUE(r.ring.reclaim_some(r.account));
  EXPECT_EQ(r.ring.reclaimed_position(), 96u);
  EXPECT_EQ(r.ring.violations(), 0u);
}

TEST(ring, what_is_reclaimed_is_counted_by_how_it_was_closed) {
  bare_ring r;
  ASSERT_TRUE(r.put(32, record_state::committed));
  ASSERT_TRUE(r.put(32, record_state::discarded));
  ASSERT_TRUE(r.put(32, record_state::discarded));
  EXPECT_EQ(r.account.row(ordinary_type).committed, 0u) << "counted where the cursor passes, not at the close";
  r.memory.claim(96);
  EXPECT_TRUE(r.ring.reclaim_some(r.account));
  EXPECT_EQ(r.account.row(ordinary_type).committed, 1u);
  EXPECT_EQ(r.account.row(ordinary_type).discarded, 2u);
}

TEST(ring, one_reclaim_passes_a_bounded_number_of_bytes_unless_more_room_is_asked_for) {
  bare_ring r(0, {16384, 8192, 0});
  while (r.put(16)) {
  }
  ASSERT_EQ(r.used(), 16384u);
  r.memory.claim(r.ring.write_position());
  constexpr uint32_t step = ring<native_seam>::reclaim_step;
  EXPECT_FALSE(r.ring.reclaim_some(r.account)) << "more is left";
  EXPECT_EQ(r.ring.reclaimed_position(), step);
  // Another step does not make so much room: the walk goes on for as long as it takes, and not longer.
  ASSERT_TRUE(r.place(2 * step + 1080));
  EXPECT_EQ(r.ring.reclaimed_position(), 2 * step + 1080 + 8) << "in units of these records";
}

// A step takes less than a claim gives; what is left of it is kept. It hides nothing of what was claimed since.
TEST(ring, room_claimed_later_is_found_while_some_of_an_earlier_claim_is_left) {
  bare_ring r(0, {16384, 8192, 0});
  while (r.put(64)) {
  }
  ASSERT_EQ(r.used(), 16384u);
  r.memory.claim(ring<native_seam>::reclaim_step + 64);
  ASSERT_TRUE(r.put(64));
  ASSERT_EQ(r.ring.reclaimed_position(), ring<native_seam>::reclaim_step + 0u);
  r.memory.claim(16384);
  EXPECT_TRUE(r.place(8192));
}

// What settles the account walks the rest itself afterwards: nothing of it may be given back meanwhile.
TEST(ring, reclaim_some_ends_at_what_is_claimed_now_not_at_an_earlier_claim) {
  bare_ring r(0, {16384, 8192, 0});
  while (r.put(64)) {
  }
  ASSERT_EQ(r.used(), 16384u);
  r.memory.claim(3 * ring<native_seam>::reclaim_step);
  ASSERT_TRUE(r.put(64));
  ASSERT_EQ(r.ring.reclaimed_position(), ring<native_seam>::reclaim_step + 0u);
  r.memory.claim(16384);
  while (!r.ring.reclaim_some(r.account)) {
  }
  EXPECT_EQ(r.ring.reclaimed_position(), 16384u);
}

// Every offset around the ring's end, every length that crosses it: contiguous, whole, and nothing else is touched.
TEST(ring, a_record_is_contiguous_at_every_offset_around_the_rings_end) {
  const ring_geometry geometry{4096, 2048, 0};
  for (uint32_t before_end = 8; before_end <= 64; before_end += 8) {
    for (uint32_t length : {16u, 17u, 23u, 24u, 25u, 40u, 63u, 64u, 65u, 72u, 1000u, 2041u, 2047u, 2048u}) {
      const uint32_t start = 4096 - before_end;
      bare_ring r(start, geometry);
      ASSERT_TRUE(r.place(length));
      EXPECT_EQ(r.open.offset, start);
      std::memset(r.open.payload(), 0xa5, r.open.payload_length());
      r.ring.publish();
      r.ring.stamp(r.open, 9);
      r.open.close(record_state::committed);
      ASSERT_TRUE(r.put(24));
      EXPECT_EQ(r.ring.write_position(), start + record_stride(length) + 24);

      reader from;
      from.attach(r.memory.view);
      ring_head head = from.look();
      ASSERT_EQ(head.state, head_state::committed) << before_end << " " << length;
      ASSERT_EQ(head.length, length);
      const record_view<native_seam> seen = from.view(head);
      for (uint32_t i = 0; i < seen.payload_length(); ++i) ASSERT_EQ(seen.payload()[i], 0xa5);
      from.take(head);
      head = from.look();
      EXPECT_EQ(head.state, head_state::committed);
      EXPECT_EQ(head.length, 24u);
      from.take(head);
      EXPECT_EQ(from.look().state, head_state::empty);
      from.release();
      EXPECT_TRUE(r.ring.reclaim_some(r.account) || r.ring.reclaim_some(r.account));
      EXPECT_EQ(r.used(), 0u);
      EXPECT_EQ(r.ring.violations(), 0u);
    }
  }
}

// The page behind the region cannot be touched, and the longest record at the last offset ends exactly at the apron's end.
TEST(ring, the_longest_record_at_the_last_offset_stays_within_the_apron) {
  const ring_geometry geometry{4096, 2048, 0};
  bare_ring r(4096 - 8, geometry);
  const uint8_t* const apron_end = r.memory.view.data.bytes(4096 + 2048);
  ASSERT_TRUE(r.place(2048));
  EXPECT_LE(r.open.payload() + r.open.payload_length(), apron_end);
  EXPECT_EQ(r.open.payload() + r.open.payload_length(), apron_end - 8);
}

// Positions are modulo 2^32: nothing may break where they wrap.
TEST(ring, positions_wrap_at_two_to_the_thirty_second) {
  bare_ring r(0xffffff00u);
  reader from;
  from.attach(r.memory.view);
  uint64_t expected_position = 0xffffff00u;
  for (uint32_t i = 0; i < 2000; ++i) {
    const uint32_t length = 16 + i % 200;
    ASSERT_TRUE(r.put(length)) << i;
    const ring_head head = from.look();
    ASSERT_EQ(head.state, head_state::committed);
    ASSERT_EQ(head.length, length);
    EXPECT_EQ(from.view(head).position, expected_position) << "the identity goes on counting in 64 bits";
    from.take(head);
    from.release();
    expected_position += record_stride(length);
  }
  EXPECT_LT(r.ring.write_position(), 0x00100000u) << "it did wrap";
  EXPECT_EQ(r.ring.violations(), 0u);
}

TEST(ring, a_full_ring_whose_positions_wrap_is_still_full) {
  bare_ring r(0xfffff800u, {4096, max_loss_record, 0});
  while (r.put(32)) {
  }
  EXPECT_EQ(r.used(), 4096u);
  r.memory.claim(r.ring.write_position());
  EXPECT_TRUE(r.put(32));
  EXPECT_EQ(r.ring.violations(), 0u);
}
