// R4: every gap is announced in the stream, at its place; one that nothing follows, by the published figures.
#include "pipeline/loss.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/pipeline/one_cpu_case.h"

using namespace sluice;
using namespace sluice::test;

namespace {

struct loss_case : one_cpu_case {
  loss_case() : one_cpu_case({100, 1, {}}) {}
  void fill() {
    while (cpu.write(1, 48) == reserve_status::ok) {
    }
  }
  void drain() {
    for (ring_head head = from.look(); head.state != head_state::empty; head = from.look()) from.take(head);
    from.release();
  }
  loss_summary figures() {
    loss_summary summary;
    EXPECT_TRUE(read_loss_figures(cpu.main.view.producer->loss, summary));
    return summary;
  }
};

}  // namespace

TEST_F(loss_case, r4_a_full_ring_announces_what_it_dropped_in_front_of_the_next_event) {
  fill();  // the last of these was dropped
  const uint64_t first = cpu.rings.row(ordinary_type).dropped_total();
  ASSERT_EQ(first, 1u);
  const uint64_t first_time = time.now - 1;
  for (uint32_t i = 0; i < 4; ++i) ASSERT_EQ(cpu.write(2, 48, 50), reserve_status::dropped);
  ASSERT_EQ(cpu.write(3, 20, 42), reserve_status::dropped);
  const uint64_t last_time = time.now - 1;
  drain();
  time.now = 5000;
  ASSERT_EQ(cpu.write(9), reserve_status::ok);

  const received loss = next();
  ASSERT_EQ(loss.type, record_type_loss);
  const decoded_loss gap = decode_loss(loss.payload);
  EXPECT_EQ(gap.fixed.events, 6u);
  EXPECT_EQ(gap.fixed.bytes, 5u * (48 + record_header_size) + 20 + record_header_size);
  EXPECT_EQ(gap.fixed.first_time, first_time);
  EXPECT_EQ(gap.fixed.last_time, last_time);
  EXPECT_EQ(gap.fixed.cause, static_cast<uint32_t>(loss_cause::dropped));
  ASSERT_EQ(gap.entries.size(), 3u);
  EXPECT_EQ(gap.entries[0].type, ordinary_type);
  EXPECT_EQ(gap.entries[0].events, 1u);
  EXPECT_EQ(gap.entries[1].type, 42);
  EXPECT_EQ(gap.entries[1].events, 1u);
  EXPECT_EQ(gap.entries[2].type, 50);
  EXPECT_EQ(gap.entries[2].events, 4u);

  const received event = next();
  EXPECT_EQ(event.value(), 9u);
  EXPECT_EQ(loss.time, event.time) << "one publication, one reading of the clock";
  EXPECT_EQ(loss.time, 5000u);
  EXPECT_EQ(from.look().state, head_state::empty);
}

TEST_F(loss_case, r4_a_gap_is_announced_once) {
  fill();
  drain();
  ASSERT_EQ(cpu.write(1), reserve_status::ok);
  ASSERT_EQ(cpu.write(2), reserve_status::ok);
  EXPECT_EQ(next().type, record_type_loss);
  EXPECT_EQ(next().value(), 1u);
  EXPECT_EQ(next().value(), 2u);
  EXPECT_EQ(from.look().state, head_state::empty);
}

TEST_F(loss_case, r4_two_gaps_are_announced_apart) {
  fill();
  drain();
  ASSERT_EQ(cpu.write(1), reserve_status::ok);
  EXPECT_EQ(decode_loss(next().payload).fixed.events, 1u);
  fill();
  ASSERT_EQ(cpu.write(2, 48, 50), reserve_status::dropped);
  drain();
  ASSERT_EQ(cpu.write(3), reserve_status::ok);
  const decoded_loss second = decode_loss(next().payload);
  EXPECT_EQ(second.fixed.events, 2u);
  EXPECT_EQ(second.entries.size(), 2u);
}

TEST_F(loss_case, r4_a_reservation_is_announced_too_and_its_loss_record_is_final_before_it) {
  fill();
  drain();
  record open;
  ASSERT_EQ(cpu.reserve(open), reserve_status::ok);
  const received loss = next();
  EXPECT_EQ(loss.type, record_type_loss);
  EXPECT_EQ(from.look().state, head_state::stamped);
  EXPECT_EQ(from.look().time, loss.time);
  open.close(record_state::discarded);
  EXPECT_EQ(from.look().state, head_state::discarded) << "a discarded event takes no announcement with it";
}

TEST_F(loss_case, the_longest_loss_record_has_an_entry_for_each_type_and_fits) {
  fill();
  for (uint16_t type = 1; type < max_record_types; ++type) {
    if (type == critical_type) continue;
    for (uint16_t n = 0; n < type; ++n) ASSERT_EQ(cpu.write(1, 48, type), reserve_status::dropped);
  }
  drain();
  ASSERT_EQ(cpu.write(1, small_main.max_record - record_header_size), reserve_status::ok)
      << "the longest event fits beside the longest announcement";
  const decoded_loss gap = decode_loss(next().payload);
  ASSERT_EQ(gap.entries.size(), max_record_types - 2);
  uint64_t sum = 0;
  for (size_t i = 0; i < gap.entries.size(); ++i) {
    if (i != 0) {
      EXPECT_GT(gap.entries[i].type, gap.entries[i - 1].type);
    }
    const uint64_t more = gap.entries[i].type == ordinary_type ? 1 : 0;
    EXPECT_EQ(gap.entries[i].events, gap.entries[i].type + more);
    sum += gap.entries[i].events;
  }
  EXPECT_EQ(sum, gap.fixed.events);
  EXPECT_TRUE(next().intact());
}

// The announcement and its event must both find room, or neither takes any.
TEST_F(loss_case, r4_an_event_that_fits_without_its_announcement_waits_for_both) {
  fill();
  ring_head head = from.look();
  from.take(head);  // 64 bytes: room for a small event, not for LOSS (72) and the event
  from.release();
  const uint32_t before = cpu.main.published();
  EXPECT_EQ(cpu.write(7, 8), reserve_status::dropped);
  EXPECT_EQ(cpu.main.published(), before);
  head = from.look();
  from.take(head);
  from.release();
  EXPECT_EQ(cpu.write(8, 8), reserve_status::ok);
  drain();
  const account_row row = cpu.account(record_type_loss);
  EXPECT_EQ(row.attempted, 1u);
  EXPECT_EQ(row.committed, 1u);
}

// R4, second half: the figures tell of a gap that no record follows.
TEST_F(loss_case, r4_the_figures_tell_of_a_gap_that_nothing_follows) {
  EXPECT_EQ(figures().events, 0u);
  fill();
  const uint64_t first_time = time.now - 1;
  ASSERT_EQ(cpu.write(2, 48, 50), reserve_status::dropped);
  const loss_summary told = figures();
  EXPECT_EQ(told.events, 2u);
  EXPECT_EQ(told.bytes, 2u * (48 + record_header_size));
  EXPECT_EQ(told.first_time, first_time);
  EXPECT_EQ(told.last_time, time.now - 1);
  EXPECT_EQ(told.dropped[ordinary_type], 1u);
  EXPECT_EQ(told.dropped[50], 1u);
}

TEST_F(loss_case, the_figures_count_since_load_and_times_of_the_last_gap) {
  fill();
  drain();
  ASSERT_EQ(cpu.write(1), reserve_status::ok);
  time.now = 1 << 20;
  fill();
  const loss_summary told = figures();
  EXPECT_EQ(told.events, 2u);
  EXPECT_EQ(told.first_time, told.last_time);
  EXPECT_GE(told.first_time, 1u << 20);
}

TEST_F(loss_case, figures_that_are_being_written_are_refused) {
  atomic_word& sequence = cpu.main.view.producer->loss.sequence;
  sequence.store(1, memory_order::release);
  loss_summary summary;
  EXPECT_FALSE(read_loss_figures(cpu.main.view.producer->loss, summary));
  sequence.store(2, memory_order::release);
  EXPECT_TRUE(read_loss_figures(cpu.main.view.producer->loss, summary));
}

namespace {

// A seam whose words let something happen at each access: the seqlock's interleavings, one by one.
struct interrupted_word : atomic_word {
  static inline std::function<void()> after_load;
  static inline std::function<void()> after_store;
  uint32_t load(memory_order order) const {
    const uint32_t value = atomic_word::load(order);
    if (after_load) after_load();
    return value;
  }
  void store(uint32_t value, memory_order order) {
    atomic_word::store(value, order);
    if (after_store) after_store();
  }
};
struct interrupted_seam {
  using word = interrupted_word;
  static constexpr uint32_t types = max_record_types;
  using memory = native_seam::memory;
  static void light_barrier() {}
  static void fence(memory_order) {}
};

struct interrupted_figures {
  loss_figures<interrupted_seam> figures;
  ledger<interrupted_seam> account;
  uint64_t drops = 0;

  interrupted_figures() { account.attach(&figures); }
  ~interrupted_figures() {
    interrupted_word::after_load = nullptr;
    interrupted_word::after_store = nullptr;
  }
  // Numbers that a torn reading shows: each word of each follows from the count of drops, carries included.
  void drop() {
    ++drops;
    account.drop(ordinary_type, drop_reason::ring_full, 0xfffffff0, drops * 0x1fffffff0);
  }
  static bool consistent(const loss_summary& told) {
    return told.bytes == told.events * 0xfffffff0 && told.last_time == told.events * 0x1fffffff0 &&
           told.dropped[ordinary_type] == told.events;
  }
};

}  // namespace

TEST(loss_figures, r4_a_reading_in_the_middle_of_an_update_is_refused_or_whole) {
  interrupted_figures f;
  f.drop();
  uint32_t readings = 0;
  uint32_t refused = 0;
  const auto read = [&] {
    loss_summary told;
    ++readings;
    if (!read_loss_figures(f.figures, told)) {
      ++refused;
    } else {
      EXPECT_TRUE(interrupted_figures::consistent(told)) << "after store " << readings;
    }
  };
  interrupted_word::after_store = read;
  f.drop();
  EXPECT_EQ(readings, 11u) << "one at each store";
  EXPECT_EQ(refused, 10u) << "all but the last";
}

TEST(loss_figures, r4_an_update_in_the_middle_of_a_reading_is_noticed) {
  for (uint32_t at = 1; at < 8 + max_record_types; ++at) {
    interrupted_figures f;
    f.drop();
    uint32_t loads = 0;
    interrupted_word::after_load = [&] {
      if (++loads == at) f.drop();
    };
    loss_summary told;
    if (read_loss_figures(f.figures, told)) {
      EXPECT_TRUE(interrupted_figures::consistent(told)) << "updated after load " << at;
    }
    EXPECT_EQ(f.drops, 2u) << at;
  }
}

// The seqlock: whatever a racing reader accepts is one state of the figures. Each drop has the same size and the clock
// steps by one per reading, so every word follows from the number of events.
TEST_F(loss_case, r4_a_racing_reader_never_accepts_a_torn_state) {
  fill();  // from here on every write is dropped
  const loss_summary base = figures();
  std::atomic<bool> stop{false};
  uint64_t accepted = 0;
  uint64_t wrong = 0;
  std::thread racing([&] {
    while (!stop.load(std::memory_order_relaxed)) {
      loss_summary told;
      if (!read_loss_figures(cpu.main.view.producer->loss, told)) continue;
      ++accepted;
      const uint64_t more = told.events - base.events;
      if (told.bytes != base.bytes + more * (48 + record_header_size) || told.last_time != base.last_time + more ||
          told.dropped[ordinary_type] != told.events || told.first_time != base.first_time) {
        ++wrong;
      }
    }
  });
  uint32_t dropped = 0;
  for (uint32_t i = 0; i < 200000; ++i) dropped += cpu.write(1, 48) == reserve_status::dropped;
  stop = true;
  racing.join();
  EXPECT_EQ(dropped, 200000u);
  EXPECT_EQ(wrong, 0u) << "of " << accepted;
  EXPECT_EQ(figures().events, base.events + 200000);
}
