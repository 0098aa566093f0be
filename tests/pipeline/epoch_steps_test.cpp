// pipeline/epoch.h: steps that not every ring or pass has seen, and many of them at random.
#include <map>
#include <random>

#include "tests/pipeline/epoch_case.h"

using namespace sluice;
using namespace sluice::test;

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
