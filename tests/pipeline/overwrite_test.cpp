// Overwrite mode (flight recorder): the newest records survive, what is open is never overwritten, and a reader that was
// overtaken says what it missed. O1 to O3: pipeline/tail.h.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <thread>

#include "tests/pipeline/support.h"

using namespace sluice;
using namespace sluice::test;

namespace {

constexpr cpu_options overwriting(uint32_t start_position = 0, uint16_t cpu = 0) {
  cpu_options options;
  options.main.critical_bytes = 0;
  options.start_position = start_position;
  options.cpu = cpu;
  options.mode = ring_mode::overwrite;
  return options;
}

// A stream that was read: what was delivered, and what it says was overwritten.
struct tally {
  std::map<uint16_t, uint64_t> delivered, missed;
  uint64_t late = 0;

  explicit tally(const std::vector<received>& records) {
    for (const received& each : records) {
      late += each.late;
      if (!each.overwritten) {
        ++delivered[each.type];
        continue;
      }
      EXPECT_EQ(each.type, record_type_loss);
      const decoded_loss loss = decode_loss(each.payload);
      EXPECT_EQ(loss.fixed.cause, static_cast<uint32_t>(loss_cause::overwritten));
      uint64_t events = 0;
      for (const loss_entry& entry : loss.entries) {
        missed[entry.type] += entry.events;
        events += entry.events;
      }
      EXPECT_EQ(loss.fixed.events, events);
    }
  }
};

struct overwrite_case : testing::Test {
  manual_time time{1, 1, {}};
  test_cpu cpu{manual_clock{&time}, overwriting(0xfffff000)};  // positions wrap in the middle
  exact_merge merged{manual_clock{&time}, exact(scripted_barrier{}), {&cpu.main, &cpu.spare}};
  collector sink;

  void read_all() {
    time.now += 10;
    merged.pass(sink);
    merged.merged.release();
  }
  void flood(uint32_t first, uint32_t count, uint32_t length = 40) {
    for (uint32_t i = 0; i < count; ++i) ASSERT_EQ(cpu.write(first + i, length), reserve_status::ok);
  }
};

}  // namespace

TEST_F(overwrite_case, the_newest_survive_and_a_late_reader_learns_how_many_it_missed) {
  flood(0, 5000);
  read_all();
  ASSERT_GT(sink.records.size(), 50u) << "most of the ring is there";
  const received& loss = sink.records[0];
  ASSERT_TRUE(loss.overwritten);
  const decoded_loss told = decode_loss(loss.payload);
  ASSERT_EQ(told.entries.size(), 1u);
  EXPECT_EQ(told.entries[0].type, ordinary_type);
  EXPECT_EQ(told.fixed.events, 5000 - (sink.records.size() - 1)) << "exact";
  EXPECT_EQ(told.fixed.bytes, (5000 - (sink.records.size() - 1)) * 56);
  EXPECT_EQ(loss.position, 0xfffff000u) << "where the gap begins";
  EXPECT_EQ(loss.time, sink.records[1].time) << "in front of the first record that is left";
  EXPECT_EQ(told.fixed.last_time, loss.time);
  uint64_t value = told.fixed.events;
  for (size_t i = 1; i < sink.records.size(); ++i, ++value) {
    EXPECT_TRUE(sink.records[i].intact());
    EXPECT_EQ(sink.records[i].value(), value);
  }
  EXPECT_EQ(value, 5000u) << "up to the last";
  EXPECT_EQ(merged.merged.missed_events(), told.fixed.events);
}

TEST_F(overwrite_case, a_reader_that_keeps_up_misses_nothing) {
  for (uint32_t i = 0; i < 3000; ++i) {
    flood(i, 1, 8 + i % 200);
    if (i % 10 == 9) read_all();
  }
  EXPECT_EQ(sink.records.size(), 3000u);
  EXPECT_EQ(merged.merged.missed_events(), 0u);
  const account_row row = cpu.account(ordinary_type);
  EXPECT_TRUE(row.balances());
  EXPECT_EQ(row.overwritten, 0u) << "all of it was given back before it was overwritten";
}

TEST_F(overwrite_case, r3_holds_and_what_was_overwritten_unread_is_a_figure_of_its_own) {
  flood(0, 10);
  read_all();
  flood(10, 2000);
  const account_row row = cpu.account(ordinary_type);
  EXPECT_TRUE(row.balances());
  EXPECT_EQ(row.attempted, 2010u);
  EXPECT_EQ(row.committed, 2010u);
  EXPECT_EQ(row.dropped_total(), 0u);
  read_all();
  const tally all(sink.records);
  EXPECT_EQ(row.overwritten, all.missed.at(ordinary_type));
  EXPECT_EQ(all.delivered.at(ordinary_type) + all.missed.at(ordinary_type), row.committed) << "O3";
}

TEST_F(overwrite_case, o1_the_tail_never_passes_an_open_record_and_then_the_newest_is_dropped) {
  record held;
  ASSERT_EQ(cpu.reserve(held, 24), reserve_status::ok);
  test_cpu::fill(held, 77);
  uint32_t written = 0;
  while (written < 1000 && cpu.write(written, 40) == reserve_status::ok) ++written;
  EXPECT_EQ(written, (4096u - 40) / 56) << "all of the room is used";
  for (uint32_t i = 0; i < 20; ++i) EXPECT_EQ(cpu.write(1000 + i, 40), reserve_status::dropped);
  account_row row = cpu.account(ordinary_type);
  EXPECT_TRUE(row.balances());
  EXPECT_EQ(row.open, 1u);
  EXPECT_EQ(row.dropped[static_cast<uint32_t>(drop_reason::ring_full)], 21u);
  EXPECT_EQ(row.overwritten, 0u);
  EXPECT_EQ(cpu.main.view.producer->tail.tail[0].load(memory_order::acquire), 0xfffff000u);

  held.close(record_state::committed);
  ASSERT_EQ(cpu.write(2000, 40), reserve_status::ok) << "once it is closed, the ring goes on";
  read_all();
  const tally all(sink.records);
  EXPECT_EQ(all.delivered.at(record_type_loss), 1u) << "what was dropped meanwhile is announced";
  row = cpu.account(ordinary_type);
  EXPECT_EQ(all.delivered.at(ordinary_type) + all.missed.at(ordinary_type), row.committed);
}

TEST_F(overwrite_case, closed_records_in_front_of_an_open_one_are_not_given_up_for_nothing) {
  flood(0, 3);  // 168 bytes: not enough for what comes
  record held;
  ASSERT_EQ(cpu.reserve(held, 24), reserve_status::ok);
  flood(3, (4096 - 3 * 56 - 40) / 56);
  EXPECT_EQ(cpu.write(5, 400), reserve_status::dropped);
  EXPECT_EQ(cpu.main.view.producer->tail.tail[0].load(memory_order::acquire), 0xfffff000u);
  read_all();
  ASSERT_EQ(sink.records.size(), 3u);
  EXPECT_FALSE(sink.records[0].overwritten);
  held.close(record_state::discarded);
}

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

TEST_F(overwrite_case, discarded_records_are_not_missed) {
  for (uint32_t i = 0; i < 400; ++i) {
    record open;
    ASSERT_EQ(cpu.reserve(open, 40), reserve_status::ok);
    open.close(record_state::discarded);
  }
  read_all();
  EXPECT_TRUE(sink.records.empty()) << "a gap of nothing but discarded records is none";
  flood(0, 1);
  read_all();
  ASSERT_EQ(sink.records.size(), 1u);
  EXPECT_FALSE(sink.records[0].overwritten);
  const account_row row = cpu.account(ordinary_type);
  EXPECT_TRUE(row.balances());
  EXPECT_EQ(row.overwritten, 0u);
}

TEST_F(overwrite_case, r6_a_flood_of_ordinary_events_overwrites_no_critical_one) {
  for (uint32_t i = 0; i < 20; ++i) ASSERT_EQ(cpu.write(i, 40, critical_type), reserve_status::ok);
  flood(0, 20000);
  read_all();
  const tally all(sink.records);
  EXPECT_EQ(all.delivered.at(critical_type), 20u);
  EXPECT_EQ(all.missed.count(critical_type), 0u);
  EXPECT_GT(all.missed.at(ordinary_type), 0u);
  EXPECT_EQ(all.late, 0u);
}

TEST_F(overwrite_case, r6_critical_events_overwrite_only_each_other) {
  flood(0, 50);
  for (uint32_t i = 0; i < 1000; ++i) ASSERT_EQ(cpu.write(i, 40, critical_type), reserve_status::ok);
  time.now += 5000;  // where the lane changes, times rise by a tick whatever the clock says
  read_all();
  const tally all(sink.records);
  EXPECT_EQ(all.delivered.at(ordinary_type), 50u);
  EXPECT_EQ(all.delivered.at(critical_type) + all.missed.at(critical_type), 1000u);
  EXPECT_EQ(sink.records.back().value(), 999u);
}

TEST_F(overwrite_case, r6_behind_an_open_record_in_the_spare_ring_critical_events_go_to_the_main_ring) {
  record held;
  ASSERT_EQ(cpu.reserve(held, 40, critical_type), reserve_status::ok);
  for (uint32_t i = 0; i < 1000; ++i) ASSERT_EQ(cpu.write(i, 40, critical_type), reserve_status::ok);
  EXPECT_EQ(cpu.account(critical_type).dropped_total(), 0u);
  test_cpu::commit(held, 5);
  read_all();
  std::vector<uint64_t> times;
  for (const received& each : sink.records) times.push_back(each.time);
  EXPECT_TRUE(std::is_sorted(times.begin(), times.end()));
  EXPECT_EQ(sink.records.back().value(), 999u);
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

TEST_F(overwrite_case, what_was_set_aside_and_overwritten_is_announced) {
  merge_options options;
  options.set_aside_after = 5;
  exact_merge bounded(manual_clock{&time}, exact(scripted_barrier{}), {&cpu.main, &cpu.spare}, options);
  record held;
  ASSERT_EQ(cpu.reserve(held, 24), reserve_status::ok);
  flood(1, 3);
  time.now += 100;
  bounded.pass(sink);
  ASSERT_EQ(sink.records.size(), 3u) << "past the open record";
  test_cpu::commit(held, 9);
  // One lap, so that the held record goes and the reader's cursor stays ahead of the tail.
  for (uint32_t i = 0; i < 100 && cpu.main.view.producer->tail.tail[0].load(memory_order::acquire) == 0xfffff000u; ++i) {
    flood(10, 1);
  }
  time.now += 100;
  bounded.pass(sink);
  const tally all(sink.records);
  EXPECT_EQ(all.missed.at(ordinary_type), 1u);
  const account_row row = cpu.account(ordinary_type);
  EXPECT_EQ(all.delivered.at(ordinary_type) + 1, row.committed);
}

TEST_F(overwrite_case, what_was_set_aside_and_closed_in_time_is_delivered_late) {
  merge_options options;
  options.set_aside_after = 5;
  exact_merge bounded(manual_clock{&time}, exact(scripted_barrier{}), {&cpu.main, &cpu.spare}, options);
  record held;
  ASSERT_EQ(cpu.reserve(held, 24), reserve_status::ok);
  flood(1, 3);
  time.now += 100;
  bounded.pass(sink);
  test_cpu::commit(held, 9);
  bounded.pass(sink);
  ASSERT_EQ(sink.records.size(), 4u);
  EXPECT_TRUE(sink.records[3].late);
  EXPECT_EQ(sink.records[3].value(), 9u);
  flood(10, 1000);
  read_all();
  time.now += 100;
  bounded.pass(sink);
  EXPECT_EQ(bounded.merged.missed_events() + 4 + (sink.records.size() - 4 - 1) / 2, 1004u)
      << "counted as delivered, not as missed (the other merge has read the same ring)";
}

TEST_F(overwrite_case, an_estimate_for_a_record_set_aside_is_made_good_by_the_next_gap) {
  merge_options options;
  options.set_aside_after = 5;
  exact_merge bounded(manual_clock{&time}, exact(scripted_barrier{}), {&cpu.main, &cpu.spare}, options);
  record held;
  ASSERT_EQ(cpu.reserve(held, 24), reserve_status::ok);
  flood(1, 3);
  time.now += 100;
  bounded.pass(sink);
  held.close(record_state::discarded);  // nobody saw that
  for (uint32_t i = 0; i < 100 && cpu.main.view.producer->tail.tail[0].load(memory_order::acquire) == 0xfffff000u; ++i) {
    flood(10, 1);
  }
  time.now += 100;
  bounded.pass(sink);
  EXPECT_EQ(tally(sink.records).missed.at(ordinary_type), 1u) << "one too many";
  flood(100, 1000);
  time.now += 100;
  bounded.pass(sink);
  const tally all(sink.records);
  EXPECT_EQ(all.delivered.at(ordinary_type) + all.missed.at(ordinary_type), cpu.account(ordinary_type).committed);
}

TEST_F(overwrite_case, r5_what_a_client_claims_changes_nothing_but_the_figure_of_what_was_unread) {
  std::mt19937 random(11);
  for (uint32_t i = 0; i < 5000; ++i) {
    cpu.main.claim(random() % 3 == 0 ? static_cast<uint32_t>(random()) : cpu.main.published() - random() % 5000);
    ASSERT_EQ(cpu.write(i, random() % 100 + 8), reserve_status::ok);
    ASSERT_TRUE(cpu.rings.settle());
  }
  EXPECT_EQ(cpu.rings.violations(), 0u);
  const account_row row = cpu.account(ordinary_type);
  EXPECT_TRUE(row.balances());
  EXPECT_EQ(row.committed, 5000u);
  EXPECT_LE(row.overwritten, row.committed);
  read_all();
  const tally all(sink.records);
  EXPECT_EQ(all.delivered.at(ordinary_type) + all.missed.at(ordinary_type), 5000u);
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

TEST(overwrite, a_ring_of_the_smallest_size_holds_nearly_all_of_its_capacity) {
  manual_time time{1, 1, {}};
  test_cpu cpu(manual_clock{&time}, overwriting());
  for (uint32_t i = 0; i < 1000; ++i) ASSERT_EQ(cpu.write(i, 8), reserve_status::ok);
  const auto where = cpu.rings.where();
  EXPECT_GE(where.written[0] - where.reclaimed[0], 4096u - 2 * 64);
}

TEST(overwrite, the_tail_is_known_to_its_whole_width) {
  tail_figures<native_seam> figures{};
  figures.tail[0].store(0xffffff00, memory_order::relaxed);
  {
    tail_move<native_seam> move(figures);
    for (int i = 0; i < 3; ++i) move.count(7);
    EXPECT_EQ(figures.sequence.load(memory_order::relaxed) & 1, 1u);
    tail_summary<native_seam> summary;
    EXPECT_FALSE(read_tail_figures(figures, summary)) << "not while they are being written";
    move.finish(0x100);
  }
  tail_summary<native_seam> summary;
  ASSERT_TRUE(read_tail_figures(figures, summary));
  EXPECT_EQ(summary.tail, 0x100000100u);
  EXPECT_EQ(summary.committed[7], 3u);
  EXPECT_TRUE(tail_is_past(figures, 0xffffff00));
  EXPECT_TRUE(tail_is_past(figures, 0x1000000ff));
  EXPECT_FALSE(tail_is_past(figures, 0x100000100));
  EXPECT_TRUE(tail_is_past(figures, 0x100)) << "a whole 2^32 behind";
  figures.committed[7][0].store(0xffffffff, memory_order::relaxed);
  tail_move<native_seam> move(figures);
  move.count(7);
  move.finish(0x108);
  ASSERT_TRUE(read_tail_figures(figures, summary));
  EXPECT_EQ(summary.committed[7], 0x100000000u);
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
