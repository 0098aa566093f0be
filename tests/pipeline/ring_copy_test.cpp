// Copies of a ring that is written to: what happens between two records of a copy happens at a place that the test chose.
// C1, C2: pipeline/ring_copy.h.
#include "pipeline/ring_copy.h"

#include <gtest/gtest.h>

#include "tests/pipeline/support.h"

using namespace sluice;
using namespace sluice::test;

namespace {

constexpr uint32_t length = 40;
constexpr uint32_t stride = record_header_size + length;
constexpr uint32_t start = 0u - 1024;  // positions wrap

using copier = ring_copier<native_seam>;

struct ring_copy_case : testing::Test {
  manual_time time{1, 1, {}};
  std::unique_ptr<test_cpu> cpu;
  uint64_t written = 0;
  alignas(8) uint8_t memory[2 * 4096];
  uint32_t asked = 0;                    // places so far
  std::function<void(uint32_t)> at_place;  // before the record that is asked for is looked at
  copier::piece piece;

  void make(ring_mode mode) {
    cpu_options options;
    options.main.critical_bytes = 0;
    options.start_position = start;
    options.mode = mode;
    cpu = std::make_unique<test_cpu>(manual_clock{&time}, options);
  }
  void write(uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) ASSERT_EQ(cpu->write(written++, length), reserve_status::ok);
  }
  auto place() {
    return [this](uint32_t offset) {
      if (at_place) at_place(asked);
      ++asked;
      return native_seam::memory(memory + offset);
    };
  }
  void copy(uint64_t kept = start, uint32_t room = sizeof memory) { copier(cpu->main.view).copy(kept, room, place(), piece); }
  void copy_more(uint32_t room = sizeof memory) { copier(cpu->main.view).copy_more(piece.end, piece.until, room, place(), piece); }

  // The values in the piece; every record whole.
  std::vector<uint64_t> values() const {
    std::vector<uint64_t> found;
    for (uint64_t at = piece.begin; at != piece.end; at += stride) {
      const uint8_t* const record = memory + piece.skipped + (at - piece.begin);
      record_header header;
      std::memcpy(&header, record, sizeof header);
      EXPECT_EQ(length_of(header.state_and_length), stride);
      EXPECT_EQ(state_of(header.state_and_length), record_state::committed);
      const received as_received{header.type, 0, 0, false, false, at, time_of(header),
                                 std::vector<uint8_t>(record + sizeof header, record + stride)};
      EXPECT_TRUE(as_received.intact());
      found.push_back(as_received.value());
    }
    return found;
  }
  // From `first` on without a gap; C2: `first` is what the figures say.
  void expect_values(uint64_t first, uint64_t end) const {
    EXPECT_EQ(piece.status, ring_copy_status::ok);
    const std::vector<uint64_t> found = values();
    ASSERT_EQ(found.size(), end - first);
    for (size_t i = 0; i < found.size(); ++i) EXPECT_EQ(found[i], first + i);
    EXPECT_EQ(piece.begin, start + first * stride);
  }
  uint64_t passed() const { return piece.passed.committed[ordinary_type]; }
};

TEST_F(ring_copy_case, a_ring_at_rest_is_copied_from_its_tail_to_its_end) {
  make(ring_mode::overwrite);
  write(500);
  copy();
  expect_values(passed(), 500);
  EXPECT_EQ(piece.until, piece.end);
  EXPECT_EQ(piece.skipped, 0u);
}

TEST_F(ring_copy_case, what_was_overwritten_meanwhile_is_left_out_and_counted) {
  make(ring_mode::overwrite);
  write(500);
  uint64_t first = 0;
  at_place = [&](uint32_t which) {
    if (which == 0) first = 500 - (cpu->rings.where().written[lane_main] - cpu->rings.where().reclaimed[lane_main]) / stride;
    if (which == 30) write(20);  // over records that were copied
  };
  copy();
  EXPECT_GT(piece.skipped, 0u);
  EXPECT_EQ(piece.skipped, (passed() - first) * stride);
  expect_values(passed(), 500);
}

TEST_F(ring_copy_case, a_header_that_is_being_overwritten_is_not_looked_at) {
  make(ring_mode::overwrite);
  write(500);
  at_place = [&](uint32_t which) {
    if (which == 5) write(60);  // over this one, and more
  };
  copy();
  // Begun anew: up to what was published by then.
  expect_values(passed(), 560);
}

TEST_F(ring_copy_case, a_producer_that_comes_past_again_and_again_leaves_nothing) {
  make(ring_mode::overwrite);
  write(500);
  at_place = [&](uint32_t) { write(100); };
  copy();
  EXPECT_EQ(piece.status, ring_copy_status::overtaken);
  EXPECT_EQ(piece.begin, piece.end);
  EXPECT_EQ(asked, copier::max_attempts);
}

TEST_F(ring_copy_case, pieces_go_on_where_the_one_before_ended) {
  make(ring_mode::overwrite);
  write(500);
  copy(start, 10 * stride + 8);
  const uint64_t first = passed();
  expect_values(first, first + 10);
  while (piece.end != piece.until) {
    const uint64_t before = piece.end;
    write(1);  // not a part of what was begun
    copy_more(10 * stride);
    EXPECT_EQ(piece.begin, before);
    (void)values();
  }
  EXPECT_EQ(piece.end, start + uint64_t{500} * stride);
}

TEST_F(ring_copy_case, a_piece_that_was_overtaken_is_a_first_one) {
  make(ring_mode::overwrite);
  write(500);
  copy(start, 10 * stride);
  const uint64_t before = piece.end;
  write(200);
  copy_more();
  EXPECT_GT(piece.begin, before);
  expect_values(passed(), 700);
}

TEST_F(ring_copy_case, in_discard_mode_it_begins_where_room_was_given_back) {
  make(ring_mode::discard);
  write(20);
  cpu->main.claim(start + 5 * stride);
  at_place = [&](uint32_t which) {
    if (which == 3) write(10);  // published behind the end
  };
  copy(start + uint64_t{5} * stride);
  expect_values(5, 20);
  at_place = nullptr;
  piece.until = start + uint64_t{30} * stride;
  copy_more();
  expect_values(20, 30);
}

TEST_F(ring_copy_case, an_open_record_is_there_as_it_is) {
  make(ring_mode::overwrite);
  write(3);
  record open;
  ASSERT_EQ(cpu->reserve(open, length), reserve_status::ok);
  ++written;
  write(2);
  copy();
  EXPECT_EQ(piece.status, ring_copy_status::ok);
  EXPECT_EQ(piece.end - piece.begin, 6u * stride);
  record_header header;
  std::memcpy(&header, memory + 3 * stride, sizeof header);
  EXPECT_EQ(state_of(header.state_and_length), record_state::stamped);
  open.close(record_state::discarded);
}

TEST_F(ring_copy_case, a_ring_that_contradicts_itself_is_copied_up_to_there) {
  make(ring_mode::overwrite);
  write(60);
  const uint32_t place_of_seven = (start + 7 * stride) & (cpu->main.view.geometry.capacity - 1);
  for (const uint32_t word : {0u, make_state_and_length(record_state::committed, 8), make_state_and_length(record_state::committed, max_loss_record + 8),
                              make_state_and_length(record_state::committed, 54 * stride)}) {
    cpu->main.view.data.state(place_of_seven).store(word, memory_order::relaxed);
    copy();
    EXPECT_EQ(piece.status, ring_copy_status::damaged) << word;
    EXPECT_EQ(values().size(), 7u);
  }
}

}  // namespace
