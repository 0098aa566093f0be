// Overwrite mode, the reader's side: a reader that was overtaken delivers nothing torn, and says what it missed. O1 to O3:
// pipeline/tail.h.
#include <atomic>
#include <map>
#include <random>
#include <thread>

#include "tests/pipeline/overwrite_case.h"

using namespace sluice;
using namespace sluice::test;

namespace {

// Bounded order: the merge has gone on past a record that was open for too long.
struct set_aside_case : overwrite_case {
  exact_merge bounded{manual_clock{&time}, exact(scripted_barrier{}), {&cpu.main, &cpu.spare}, {5}};
  record held;

  void SetUp() override {
    ASSERT_EQ(cpu.reserve(held, 24), reserve_status::ok);
    flood(1, 3);
    read_bounded();
    ASSERT_EQ(sink.records.size(), 3u) << "past the open record";
  }
  void read_bounded() {
    time.now += 100;
    bounded.pass(sink);
  }
  // So that the held record goes and the reader's cursor stays ahead of the tail.
  void write_a_lap() {
    for (uint32_t i = 0; i < 100 && cpu.main.view.producer->tail.tail[0].load(memory_order::acquire) == 0xfffff000u; ++i) {
      flood(10, 1);
    }
  }
};

}  // namespace

TEST_F(overwrite_case, o2_a_record_that_was_overtaken_after_the_look_is_not_delivered) {
  reader from;
  copy_memory copy(small_main.max_record);
  from.attach(cpu.main.view, copy.get());
  flood(0, 1);
  const ring_head head = from.look();
  ASSERT_EQ(head.state, head_state::committed);
  flood(1, 200);
  record_view<native_seam> record;
  EXPECT_FALSE(from.fetch(head, record));
  const ring_head gap = from.look_again();
  ASSERT_EQ(gap.state, head_state::missed);
  ASSERT_TRUE(from.fetch(gap, record));
  const received loss = receive(record);
  from.take(gap);
  const ring_head next = from.look_again();
  ASSERT_EQ(next.state, head_state::committed);
  ASSERT_TRUE(from.fetch(next, record));
  EXPECT_EQ(receive(record).value(), decode_loss(loss.payload).fixed.events);
}

TEST_F(overwrite_case, o2_what_a_sink_is_given_stays_as_it_is_while_the_ring_goes_on) {
  flood(0, 20);
  for (uint32_t round = 0; round < 3; ++round) {
    time.now += 10;
    uint64_t seen = 0;
    (void)merged.merged.pass([&](const record_view<native_seam>& record) {
      if (record.overwritten || seen++ != 0) return true;
      const received before = receive(record);
      flood(1000 * round + 100, 200, 41);
      const received after = receive(record);
      EXPECT_TRUE(after.intact());
      EXPECT_EQ(after.value(), before.value());
      return true;
    });
    EXPECT_GE(seen, 1u);
  }
}

TEST_F(overwrite_case, r4_a_sink_without_room_gets_the_announcement_later_and_once) {
  flood(0, 500);
  sink.limit = 0;
  read_all();
  EXPECT_TRUE(sink.records.empty());
  flood(500, 500);  // the gap grows meanwhile
  sink.limit = 1;
  read_all();
  ASSERT_EQ(sink.records.size(), 1u);
  EXPECT_TRUE(sink.records[0].overwritten);
  sink.limit = ~size_t{0};
  read_all();
  const tally all(sink.records);
  EXPECT_EQ(all.delivered.at(ordinary_type) + all.missed.at(ordinary_type), 1000u);
  EXPECT_EQ(all.delivered.count(record_type_loss), 0u);
}

TEST_F(overwrite_case, m1_overwriting_rings_are_merged_in_order_with_the_announcement_at_its_place) {
  test_cpu other(manual_clock{&time}, overwriting(64, 1));
  exact_merge both(manual_clock{&time}, exact(scripted_barrier{}), {&cpu.main, &cpu.spare, &other.main, &other.spare});
  std::mt19937 random(7);
  collector all;
  uint32_t written = 0;
  for (uint32_t round = 0; round < 60; ++round) {
    const uint32_t burst = round % 4 == 3 ? 300 : 20;
    for (uint32_t i = 0; i < burst; ++i) {
      test_cpu& to = random() % 3 == 0 ? other : cpu;
      const uint16_t type = random() % 5 == 0 ? critical_type : ordinary_type;
      ASSERT_EQ(to.write(written++, 8 + random() % 100, type), reserve_status::ok);
    }
    time.now += 10;
    both.pass(all);
    both.merged.release();
  }
  const tally sum(all.records);
  EXPECT_EQ(sum.late, 0u);
  uint64_t events = 0;
  for (const auto& [type, count] : sum.delivered) events += count;
  for (const auto& [type, count] : sum.missed) events += count;
  EXPECT_EQ(events, written);
  EXPECT_GT(sum.missed.at(ordinary_type), 0u);
  for (size_t i = 1; i < all.records.size(); ++i) EXPECT_LE(all.records[i - 1].place(), all.records[i].place());
  for (const received& each : all.records) EXPECT_TRUE(each.overwritten || each.intact());
}

TEST_F(overwrite_case, a_head_without_a_time_keeps_the_announcement_waiting) {
  flood(0, 500);
  pass_result inside;
  time.on_read = [&] {
    time.on_read = nullptr;
    // Published, no time yet: with it in the ring, everything before it is taken first.
    inside = merged.pass(sink);
  };
  record open;
  ASSERT_EQ(cpu.reserve(open, 40), reserve_status::ok);
  EXPECT_EQ(inside.end, pass_end::reserved);
  EXPECT_FALSE(inside.may_sleep());
  const tally before(sink.records);
  EXPECT_EQ(before.delivered.at(ordinary_type) + before.missed.at(ordinary_type), 500u);
  open.close(record_state::discarded);
}

TEST_F(set_aside_case, what_was_set_aside_and_overwritten_is_announced) {
  test_cpu::commit(held, 9);
  write_a_lap();
  read_bounded();
  const tally all(sink.records);
  EXPECT_EQ(all.missed.at(ordinary_type), 1u);
  const account_row row = cpu.account(ordinary_type);
  EXPECT_EQ(all.delivered.at(ordinary_type) + 1, row.committed);
}

TEST_F(set_aside_case, what_was_set_aside_and_closed_in_time_is_delivered_late) {
  test_cpu::commit(held, 9);
  bounded.pass(sink);
  ASSERT_EQ(sink.records.size(), 4u);
  EXPECT_TRUE(sink.records[3].late);
  EXPECT_EQ(sink.records[3].value(), 9u);
  flood(10, 1000);
  read_all();
  read_bounded();
  EXPECT_EQ(bounded.merged.missed_events() + 4 + (sink.records.size() - 4 - 1) / 2, 1004u)
      << "counted as delivered, not as missed (the other merge has read the same ring)";
}

TEST_F(set_aside_case, an_estimate_for_a_record_set_aside_is_made_good_by_the_next_gap) {
  held.close(record_state::discarded);  // nobody saw that
  write_a_lap();
  read_bounded();
  EXPECT_EQ(tally(sink.records).missed.at(ordinary_type), 1u) << "one too many";
  flood(100, 1000);
  read_bounded();
  const tally all(sink.records);
  EXPECT_EQ(all.delivered.at(ordinary_type) + all.missed.at(ordinary_type), cpu.account(ordinary_type).committed);
}

TEST_F(overwrite_case, a_header_that_contradicts_itself_is_damage_and_not_believed) {
  flood(0, 3);
  record_header& header = const_cast<record_header&>(cpu.main.header_at(0xfffff000u + 56));
  const record_header good = header;
  for (uint32_t length : {0u, 8u, record_length_mask, small_main.max_record + 8, 56u * 2 + 8}) {
    header.state_and_length = make_state_and_length(record_state::committed, length);
    exact_merge fresh(manual_clock{&time}, exact(scripted_barrier{}), {&cpu.main});
    collector got;
    EXPECT_EQ(fresh.pass(got).end, pass_end::damaged) << length;
    EXPECT_EQ(got.records.size(), 1u);
  }
  header = good;
  header.type = 64;
  exact_merge fresh(manual_clock{&time}, exact(scripted_barrier{}), {&cpu.main});
  EXPECT_EQ(fresh.pass(sink).end, pass_end::damaged);
  header = good;
}

// A producer that never waits, and a reader of its own speed: what arrives is whole, in order, and with what was missed it is all.
TEST(overwrite, a_racing_reader_gets_whole_records_and_counts_the_rest) {
  struct counting_clock {
    std::atomic<uint64_t>* ticks;
    uint64_t now() { return ticks->fetch_add(1, std::memory_order_relaxed); }
  };
  std::atomic<uint64_t> ticks{1};
  using cpu = basic_cpu<counting_clock>;
  cpu writer(counting_clock{&ticks}, overwriting(0u - (1 << 16)));
  constexpr uint32_t count = 150000;
  std::atomic<bool> done{false};
  std::vector<received> got;
  std::thread consumer([&] {
    basic_merge<counting_clock, slack_order> merged(counting_clock{&ticks}, slack_order(0), {&writer.main, &writer.spare});
    collector sink;
    for (bool last = false;; last = done.load(std::memory_order_acquire)) {
      merged.merged.pass(sink);
      merged.merged.release();
      for (received& each : sink.records) {
        EXPECT_TRUE(each.overwritten || each.intact());
        each.payload.resize(each.overwritten ? each.payload.size() : 8);
        got.push_back(std::move(each));
      }
      sink.records.clear();
      if (last) break;
    }
  });
  uint32_t written = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const uint16_t type = i % 16 == 0 ? critical_type : ordinary_type;
    written += writer.write(i, 8 + i % 120, type) == reserve_status::ok;
  }
  EXPECT_EQ(written, count);
  ticks.fetch_add(1000, std::memory_order_relaxed);  // all of it is older than the last T
  done.store(true, std::memory_order_release);
  consumer.join();

  const tally all(got);
  uint64_t events = 0;
  for (const auto& [type, number] : all.delivered) events += number;
  for (const auto& [type, number] : all.missed) events += number;
  EXPECT_EQ(events, count) << "O3";
  std::map<uint16_t, uint64_t> last;
  for (const received& each : got) {
    if (each.overwritten) continue;
    const auto [at, first] = last.try_emplace(each.type, each.value());
    EXPECT_TRUE(first || at->second < each.value());
    at->second = each.value();
  }
  EXPECT_EQ(last[ordinary_type], count - 1) << "the newest";
  for (const uint16_t type : {ordinary_type, critical_type}) {
    const account_row row = writer.account(type);
    EXPECT_TRUE(row.balances());
    EXPECT_EQ(row.committed, row.attempted);
    const auto missed = all.missed.find(type);
    EXPECT_GE(row.overwritten, missed == all.missed.end() ? 0 : missed->second);
  }
}
