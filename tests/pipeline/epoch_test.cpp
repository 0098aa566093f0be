// pipeline/epoch.h: what the stream does when the clock steps back. Ticks of a hand-moved clock; a step of up to 10 ticks is
// absorbed, one of more begins an epoch.
#include "pipeline/epoch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "tests/pipeline/support.h"

using namespace sluice;
using namespace sluice::test;

namespace {

constexpr uint64_t step_back = 10;
constexpr uint64_t hour = 3'600'000;

struct epoch_case : testing::Test {
  manual_time time;
  std::vector<std::unique_ptr<test_cpu>> cpus;
  collector sink;
  std::function<void()> at_barrier;

  void make(uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) {
      cpu_options options;
      options.cpu = static_cast<uint16_t>(i);
      options.step_back = step_back;
      cpus.push_back(std::make_unique<test_cpu>(manual_clock{&time}, options));
    }
  }
  exact_merge merge(merge_options options = {0, step_back}) {
    return exact_merge(manual_clock{&time}, exact(scripted_barrier{&at_barrier}), lanes_of(cpus), options);
  }
  // Without the spare lanes, which are always empty here: every ring can have a record.
  exact_merge merge_of_mains() {
    std::vector<const lane*> mains;
    for (const auto& cpu : cpus) mains.push_back(&cpu->main);
    return exact_merge(manual_clock{&time}, exact(scripted_barrier{&at_barrier}), mains, {0, step_back});
  }
  void write(uint32_t cpu, uint64_t at, uint64_t value, uint16_t type = ordinary_type) {
    time.now = at;
    ASSERT_EQ(cpus[cpu]->write(value, 8, type), reserve_status::ok);
  }
  record reserve(uint32_t cpu, uint64_t at) {
    time.now = at;
    record open;
    EXPECT_EQ(cpus[cpu]->reserve(open), reserve_status::ok);
    return open;
  }
  pass_result pass(exact_merge& m, uint64_t at) {
    time.now = at;
    const pass_result result = m.pass(sink);
    m.merged.release();
    return result;
  }
  // R2 of the stream: whatever the clock did, times never decrease but for late records.
  void expect_rising() const {
    uint64_t last = 0;
    for (const received& r : sink.records) {
      if (r.late) continue;
      EXPECT_GE(r.time, last) << "value " << r.value();
      last = std::max(last, r.time);
    }
  }
};
using values = std::vector<uint64_t>;

}  // namespace

TEST_F(epoch_case, m1_after_a_step_back_of_an_hour_events_flow_at_once_and_in_order) {
  make(3);
  auto m = merge();
  write(0, hour + 10, 1);
  write(1, hour + 20, 2);
  EXPECT_EQ(pass(m, hour + 50).emitted, 2u);
  write(1, 100, 3);  // the clock has gone back by an hour
  write(0, 110, 4);
  write(1, 120, 5);
  EXPECT_EQ(pass(m, 150).emitted, 3u) << "at once";
  EXPECT_EQ(sink.values(), (values{1, 2, 3, 4, 5}));
  ASSERT_EQ(sink.epochs.size(), 1u);
  EXPECT_EQ(sink.epochs[0].epoch, 1u);
  EXPECT_EQ(sink.epoch_places[0], 2u) << "the epoch is told where it begins";
  EXPECT_EQ(sink.epochs[0].first, 100u);
  for (size_t i = 2; i < 5; ++i) EXPECT_EQ(sink.records[i].time, 100 + 10 * (i - 2) + sink.epochs[0].offset());
  expect_rising();
  EXPECT_EQ(m.merged.late_records(), 0u);
}

// CPU 1 has been idle for so long that its own last time says nothing: the pass that found its ring empty does.
TEST_F(epoch_case, m1_a_ring_that_was_found_empty_knows_the_epoch_by_that) {
  make(2);
  auto m = merge();
  write(1, 10, 1);
  EXPECT_EQ(pass(m, 20).emitted, 1u);
  write(0, 1000, 2);
  EXPECT_EQ(pass(m, 1010).emitted, 1u);
  write(1, 500, 3);  // back by 510; later than all that CPU 1 ever wrote
  write(0, 505, 4);
  pass(m, 520);
  pass(m, 521);
  EXPECT_EQ(sink.values(), (values{1, 2, 3, 4}));
  ASSERT_EQ(sink.epochs.size(), 1u);
  EXPECT_EQ(sink.epoch_places[0], 2u);
  EXPECT_EQ(m.merged.late_records(), 0u);
  expect_rising();
}

TEST_F(epoch_case, m3_rings_without_records_follow_the_clock_into_the_epoch) {
  make(8);
  auto m = merge();
  write(7, hour, 1);
  EXPECT_EQ(pass(m, hour + 10).emitted, 1u);
  write(7, 50, 2);
  EXPECT_EQ(pass(m, 60).emitted, 1u) << "T is of the new epoch: no idle ring can still have anything of the old one";
  for (uint64_t value = 3; value < 10; ++value) {
    write(7, 60 + value * 10, value);
    EXPECT_EQ(pass(m, 60 + value * 10 + 5).emitted, 1u);
  }
}

// T was read before the step: what is seen of the new epoch waits for the next T, and no longer.
TEST_F(epoch_case, m1_a_t_from_before_the_step_proves_nothing_about_the_new_epoch) {
  make(2);
  auto m = merge();
  write(1, hour, 1);
  EXPECT_EQ(pass(m, hour + 10).emitted, 1u);
  at_barrier = [&] { write(1, 100, 3); };
  EXPECT_EQ(pass(m, hour + 20).emitted, 0u);
  EXPECT_TRUE(sink.epochs.empty());
  at_barrier = nullptr;
  write(0, 90, 2);
  EXPECT_EQ(pass(m, 200).emitted, 2u);
  EXPECT_EQ(sink.values(), (values{1, 2, 3}));
}

// Every ring has shown the new epoch, so it begins; but this T cannot say what an emptied ring of it still gets.
TEST_F(epoch_case, m1_an_epoch_that_begins_under_an_older_t_goes_no_further_than_its_records_show) {
  make(2);
  auto m = merge_of_mains();
  write(0, hour, 1);
  write(1, hour + 1, 2);
  EXPECT_EQ(pass(m, hour + 10).emitted, 2u);
  at_barrier = [&] {
    write(0, 100, 3);
    write(1, 102, 5);
  };
  EXPECT_EQ(pass(m, hour + 20).emitted, 1u) << "CPU 0 may still stamp 101";
  EXPECT_EQ(sink.epochs.size(), 1u);
  at_barrier = nullptr;
  write(0, 101, 4);
  EXPECT_EQ(pass(m, 200).emitted, 2u);
  EXPECT_EQ(sink.values(), (values{1, 2, 3, 4, 5}));
}

// The first T ever is of the new epoch, and the clock is past every T since: only the rings tell.
TEST_F(epoch_case, m3_t_learns_of_an_epoch_from_the_rings) {
  make(2);
  auto m = merge_of_mains();
  write(0, hour, 1);
  write(1, hour + 1, 2);
  write(0, 100, 3);
  write(1, 102, 4);
  EXPECT_EQ(pass(m, 200).emitted, 3u);
  EXPECT_EQ(pass(m, 300).emitted, 1u) << "T is of the epoch that an earlier pass has seen";
  write(1, 400, 5);
  EXPECT_EQ(pass(m, 500).emitted, 1u);
  EXPECT_EQ(sink.values(), (values{1, 2, 3, 4, 5}));
  EXPECT_EQ(sink.epochs.size(), 1u);
}

TEST_F(epoch_case, r2_a_small_step_back_is_absorbed) {
  make(2);
  auto m = merge();
  write(0, 100, 1);
  write(0, 95, 2);
  write(0, 90, 3);
  pass(m, 110);
  EXPECT_EQ(sink.values(), (values{1, 2, 3}));
  for (const received& r : sink.records) EXPECT_EQ(r.time, 100u);
  pass(m, 105);
  EXPECT_TRUE(sink.epochs.empty());
  EXPECT_EQ(m.merged.epoch(), 0u);
}

TEST_F(epoch_case, r2_a_step_back_past_the_bound_begins_an_epoch) {
  make(1);
  auto m = merge();
  write(0, 100, 1);
  pass(m, 101);
  write(0, 89, 2);
  EXPECT_EQ(pass(m, 90).emitted, 1u);
  ASSERT_EQ(sink.epochs.size(), 1u);
  EXPECT_EQ(sink.epochs[0].first, 89u);
  expect_rising();
}

// The ring was found empty at 110, and gets a record from before that: no step, whoever is to blame.
TEST_F(epoch_case, r2_a_small_step_back_seen_by_an_idle_cpu_is_no_epoch) {
  make(2);
  auto m = merge();
  write(0, 100, 1);
  EXPECT_EQ(pass(m, 111).emitted, 1u);
  write(1, 101, 2);
  EXPECT_EQ(pass(m, 112).emitted, 1u);
  EXPECT_TRUE(sink.epochs.empty());
  write(0, 101, 3);  // before what was emitted of CPU 1: late, and said so
  EXPECT_EQ(pass(m, 113).emitted, 1u);
  EXPECT_TRUE(sink.epochs.empty());
  EXPECT_EQ(m.merged.late_records(), 1u);
}

// Steps that are too small each, and not together.
TEST_F(epoch_case, m3_many_small_steps_back_add_up) {
  make(2);
  auto m = merge();
  write(1, 1000, 1);
  EXPECT_EQ(pass(m, 1010).emitted, 1u);
  uint64_t at = 1010;
  for (uint64_t value = 2; value < 200; ++value) {
    at -= 4;
    write(1, at, value);
    pass(m, at + 2);
  }
  EXPECT_GE(sink.epochs.size(), 50u);
  EXPECT_GE(sink.records.size(), 190u) << "times that stand still hold back a few";
  expect_rising();
}

// What is open when the clock steps back is older than all that comes after, and holds it back like any other (M1).
TEST_F(epoch_case, m1_a_record_open_across_the_step_comes_first) {
  make(2);
  auto m = merge();
  const record open = reserve(0, hour);
  pass(m, hour);
  write(1, hour + 1, 2);
  write(1, 100, 3);
  write(0, 110, 4);
  EXPECT_EQ(pass(m, 200).end, pass_end::stamped);
  EXPECT_EQ(pass(m, 201).end, pass_end::stamped);
  EXPECT_TRUE(sink.records.empty());
  test_cpu::commit(open, 1);
  pass(m, 202);
  EXPECT_EQ(sink.values(), (values{1, 2, 3, 4}));
  EXPECT_EQ(sink.epoch_places, (std::vector<size_t>{2}));
  expect_rising();
}

// The first pass ever, or after a long sleep, comes after the step: the rings hold what is younger than T.
TEST_F(epoch_case, m3_a_step_that_no_pass_has_seen_freezes_nothing) {
  make(2);
  auto m = merge();
  write(0, hour, 1);
  write(1, hour + 1, 2);
  write(1, 100, 3);
  EXPECT_EQ(pass(m, 200).emitted, 0u) << "this T may have been taken before the records were written";
  EXPECT_EQ(pass(m, 201).emitted, 3u) << "this T was not";
  EXPECT_EQ(sink.values(), (values{1, 2, 3}));
  EXPECT_EQ(sink.epoch_places, (std::vector<size_t>{2}));
  expect_rising();
}

// A head without a time: it may become of either epoch.
TEST_F(epoch_case, m1_a_record_that_gets_its_time_after_the_step_is_of_the_new_epoch) {
  make(2);
  auto m = merge();
  write(0, hour, 1);
  write(1, hour + 5, 2);
  EXPECT_EQ(pass(m, hour + 10).emitted, 2u);
  bool stepped = false;
  time.on_read = [&] {
    if (stepped) return;
    stepped = true;
    // Published, and without a time: the clock steps back now, and everything else goes on.
    const uint64_t value = 4;
    time.now = 300;
    ASSERT_EQ(cpus[1]->write(value), reserve_status::ok);
    EXPECT_EQ(pass(m, 320).end, pass_end::reserved);
    EXPECT_EQ(pass(m, 330).end, pass_end::reserved);
    EXPECT_EQ(sink.records.size(), 2u);
    time.now = 200;
  };
  ASSERT_EQ(cpus[0]->write(3), reserve_status::ok);
  EXPECT_EQ(cpus[0]->main.header_at(cpus[0]->main.consumed()).time_low, 200u);
  pass(m, 340);
  pass(m, 350);
  EXPECT_EQ(sink.values(), (values{1, 2, 3, 4}));
  EXPECT_EQ(sink.epochs.size(), 1u);
  expect_rising();
}

TEST_F(epoch_case, m3_an_open_record_of_an_ended_epoch_gives_way_after_the_limit) {
  make(2);
  auto m = merge({1000, step_back});
  const record open = reserve(0, hour);
  EXPECT_EQ(pass(m, hour + 10).end, pass_end::stamped);
  write(1, 100, 2);
  pass_result result = pass(m, 150);
  EXPECT_EQ(result.end, pass_end::stamped);
  EXPECT_EQ(result.open_time, 150u) << "its age is counted from the end of its epoch";
  write(1, 1140, 3);
  EXPECT_EQ(pass(m, 1150).end, pass_end::stamped) << "at the limit, not past it";
  EXPECT_EQ(pass(m, 1151).emitted, 2u);
  EXPECT_EQ(m.merged.set_aside_records(), 1u);
  const uint64_t epoch_began = sink.epochs.at(0).time;
  test_cpu::commit(open, 1);
  EXPECT_EQ(pass(m, 1160).emitted, 1u);
  EXPECT_EQ(sink.values(), (values{2, 3, 1}));
  EXPECT_TRUE(sink.records[2].late);
  EXPECT_EQ(sink.records[2].time, hour);
  EXPECT_LT(sink.records[2].time, epoch_began) << "its time is of its own epoch";
}

TEST_F(epoch_case, r2_a_record_set_aside_keeps_the_time_of_its_own_epoch) {
  make(2);
  auto m = merge({1000, step_back});
  write(0, 3 * hour, 1);
  EXPECT_EQ(pass(m, 3 * hour + 10).emitted, 1u);
  const record open = reserve(0, 2 * hour);
  EXPECT_EQ(pass(m, 2 * hour + 10).end, pass_end::stamped);
  const uint64_t offset = m.merged.offset();
  EXPECT_NE(offset, 0u);
  pass(m, 2 * hour + 1011);
  EXPECT_EQ(m.merged.set_aside_records(), 1u);
  write(1, hour, 2);
  EXPECT_EQ(pass(m, hour + 10).emitted, 1u);
  EXPECT_NE(m.merged.offset(), offset);
  test_cpu::commit(open, 3);
  EXPECT_EQ(pass(m, hour + 20).emitted, 1u);
  EXPECT_EQ(sink.records.back().time, 2 * hour + offset);
  expect_rising();
}

TEST_F(epoch_case, m2_a_sink_that_takes_no_news_of_an_epoch_loses_nothing) {
  make(2);
  auto m = merge();
  write(0, hour, 1);
  EXPECT_EQ(pass(m, hour + 10).emitted, 1u);
  write(0, 100, 2);
  write(1, 101, 3);
  sink.refuses_epochs = true;
  for (uint64_t at = 200; at < 210; ++at) {
    const pass_result result = pass(m, at);
    EXPECT_EQ(result.end, pass_end::sink_full);
    EXPECT_EQ(result.emitted, 0u);
    EXPECT_TRUE(result.closed_pending);
  }
  EXPECT_EQ(m.merged.epoch(), 0u);
  sink.refuses_epochs = false;
  EXPECT_EQ(pass(m, 220).emitted, 2u);
  EXPECT_EQ(sink.values(), (values{1, 2, 3}));
  EXPECT_EQ(sink.epochs.size(), 1u);
}

// W1: what waits for the next T is pending; the consumer must not sleep over it.
TEST_F(epoch_case, w1_the_consumer_does_not_sleep_over_a_record_of_a_later_epoch) {
  make(2);
  auto m = merge();
  write(1, hour, 1);
  EXPECT_EQ(pass(m, hour + 10).emitted, 1u);
  at_barrier = [&] { write(1, 100, 2); };
  const pass_result result = pass(m, hour + 20);
  EXPECT_EQ(result.emitted, 0u);
  EXPECT_FALSE(result.may_sleep());
}

TEST_F(epoch_case, m3_a_clock_that_stands_still_holds_back_only_its_last_tick) {
  make(2);
  auto m = merge();
  write(1, 98, 1);
  write(1, 100, 2);
  for (int i = 0; i < 5; ++i) pass(m, 100);
  EXPECT_EQ(sink.values(), (values{1})) << "CPU 0 may still stamp 100";
  pass(m, 102);
  EXPECT_EQ(sink.values(), (values{1, 2}));
  EXPECT_TRUE(sink.epochs.empty());
}

TEST_F(epoch_case, m1_a_step_forward_is_no_epoch) {
  make(2);
  auto m = merge();
  write(0, 100, 1);
  write(1, hour, 2);
  write(0, hour + 1, 3);
  pass(m, hour + 10);
  EXPECT_EQ(sink.values(), (values{1, 2, 3}));
  EXPECT_TRUE(sink.epochs.empty());
}

// Nobody looked between two steps. Ring 0 has seen both, ring 1 and T only one: they catch up, and nothing waits for good.
TEST_F(epoch_case, m3_steps_that_some_ring_has_not_seen_freeze_nothing) {
  make(3);
  auto m = merge();
  write(0, 2 * hour, 1);
  write(1, 2 * hour + 1, 2);
  EXPECT_EQ(pass(m, 2 * hour + 10).emitted, 2u);
  write(0, hour, 3);
  write(0, 100, 4);
  write(1, 110, 5);
  uint64_t at = 200;
  for (int i = 0; i < 3; ++i) pass(m, at++);
  EXPECT_EQ(sink.records.size(), 5u);
  write(2, 300, 6);
  write(1, 310, 7);
  pass(m, 400);
  EXPECT_EQ(sink.records.size(), 7u);
  expect_rising();
  values seen = sink.values();
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(seen, (values{1, 2, 3, 4, 5, 6, 7}));
}

TEST_F(epoch_case, both_lanes_of_a_cpu_step_together) {
  make(1);
  auto m = merge();
  record open = reserve(0, hour);
  while (cpus[0]->write(0, 8, critical_type) == reserve_status::ok &&
         cpus[0]->spare.published() == cpus[0]->spare.consumed()) {
  }
  ASSERT_NE(cpus[0]->spare.published(), cpus[0]->spare.consumed()) << "the spare lane is in use";
  write(0, 100, 7, critical_type);
  write(0, 100, 8, critical_type);
  test_cpu::commit(open, 1);
  pass(m, 200);
  pass(m, 201);
  ASSERT_EQ(sink.epochs.size(), 1u);
  EXPECT_EQ(sink.records.back().value(), 8u);
  EXPECT_EQ(sink.records.back().lane, lane_spare);
  expect_rising();
  EXPECT_EQ(m.merged.late_records(), 0u);
}

// Any number of rings, open records and steps, with a pass between two steps: the stream is in the order of (epoch, counter,
// cpu, lane, position), each record once; told epochs count the steps that records were written after.
TEST_F(epoch_case, m1_m2_random_steps_keep_every_record_and_their_order) {
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    cpus.clear();
    sink = {};
    std::mt19937_64 random(seed);
    const uint32_t count = 1 + static_cast<uint32_t>(random() % 9);
    make(count);
    auto m = merge();
    std::map<uint64_t, uint32_t> epoch_of;  // by value: the steps before it was stamped
    struct open_one {
      record where;
      uint64_t value;
    };
    std::vector<open_one> open;
    uint64_t now = 50 * hour;
    uint64_t value = 0;
    uint32_t steps = 0;
    uint64_t written = 0;
    const auto open_record = [&](uint64_t at) {
      const record place = reserve(static_cast<uint32_t>(random() % count), at);
      epoch_of[++value] = steps;
      open.push_back({place, value});
    };
    for (uint32_t i = 0; i < 2000; ++i) {
      switch (random() % 16) {
        case 0:  // the clock goes back. Every ring was looked at down to its end since the step before
          if (now > 3 * hour && random() % 8 == 0) {
            for (const open_one& each : open) {
              test_cpu::commit(each.where, each.value);
              ++written;
            }
            open.clear();
            pass(m, now += 2);
            for (uint64_t left = random() % 4; left != 0; --left) open_record(now);
            pass(m, now);
            now -= hour / 2 + random() % (2 * hour);
            ++steps;
          }
          break;
        case 1: now += random() % (hour / 8); break;
        case 2:
        case 3: open_record(now); break;
        case 4:
        case 5:
        case 6:
          if (!open.empty()) {
            const size_t which = random() % open.size();
            if (random() % 4 == 0) {
              open[which].where.close(record_state::discarded);
              epoch_of.erase(open[which].value);
            } else {
              test_cpu::commit(open[which].where, open[which].value);
              ++written;
            }
            open.erase(open.begin() + static_cast<std::ptrdiff_t>(which));
          }
          break;
        case 7:
        case 8: pass(m, now); break;
        default:
          ++value;
          write(static_cast<uint32_t>(random() % count), now, value);
          epoch_of[value] = steps;
          ++written;
          pass(m, now);
      }
      now += random() % 20;
    }
    for (const open_one& each : open) {
      test_cpu::commit(each.where, each.value);
      ++written;
    }
    pass(m, now += 100);
    pass(m, now += 100);
    ASSERT_EQ(sink.records.size(), written) << "seed " << seed;
    EXPECT_EQ(m.merged.late_records(), 0u) << "seed " << seed;
    expect_rising();
    uint32_t last_epoch = 0;
    for (size_t i = 0; i < sink.records.size(); ++i) {
      const received& r = sink.records[i];
      const auto found = epoch_of.find(r.value());
      ASSERT_NE(found, epoch_of.end()) << "seed " << seed << ": value " << r.value() << " twice, or never written";
      ASSERT_GE(found->second, last_epoch) << "seed " << seed << ": value " << r.value() << " after an epoch it is not of";
      if (i > 0 && found->second == last_epoch) {
        ASSERT_LT(sink.records[i - 1].place(), r.place()) << "seed " << seed;
      }
      last_epoch = found->second;
      epoch_of.erase(found);
    }
    EXPECT_EQ(sink.epochs.size(), steps) << "seed " << seed;
  }
}
