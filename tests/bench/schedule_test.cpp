// When the benchmarks' events are due.
#include "bench/curve/schedule.h"

#include <gtest/gtest.h>

namespace sluice::bench {
namespace {

TEST(Schedule, EvenGaps) {
  const schedule plan(1e6, 1'000'000);  // one a microsecond, for a millisecond
  EXPECT_EQ(plan.events(), 1000u);
  schedule_walk walk(plan);
  EXPECT_EQ(walk.due(0), 0u);
  EXPECT_EQ(walk.due(999), 0u);
  EXPECT_EQ(walk.due(1000), 1u);
  EXPECT_EQ(walk.due(500'500), 500u);
  EXPECT_EQ(walk.due(2'000'000), 1000u);  // and none behind the end
}

TEST(Schedule, AnEventIsDueWhenItsTimeSaysSo) {
  const schedule plan(3e6, 700'000, {0.5, 0, 2.5, 1});
  schedule_walk times(plan);
  for (uint64_t number = 0; number < plan.events(); ++number) {
    const uint64_t time = times.time_of(number);
    schedule_walk before(plan), then(plan);
    // To a nanosecond: rounding.
    EXPECT_LE(before.due(time < 2 ? 0 : time - 2), number) << number;
    EXPECT_GE(then.due(time + 1), number + 1) << number;
  }
}

TEST(Schedule, LevelsShareTheEventsOut) {
  const schedule plan(1e6, 4'000'000, {0, 3, 0, 1});
  EXPECT_EQ(plan.events(), 4000u);
  EXPECT_DOUBLE_EQ(plan.peak_rate(), 3e6);
  schedule_walk walk(plan);
  EXPECT_EQ(walk.due(999'999), 0u);
  EXPECT_EQ(walk.due(1'500'000), 1500u);
  EXPECT_EQ(walk.due(2'999'999), 3000u);
  EXPECT_EQ(walk.due(4'000'000), 4000u);
}

// A step with less than an event leaves it to the next.
TEST(Schedule, NothingIsRoundedAway) {
  const schedule plan(1000, 1'000'000'000, std::vector<double>(3000, 1.0));
  EXPECT_GE(plan.events(), 999u);
  EXPECT_LE(plan.events(), 1000u);
}

}  // namespace
}  // namespace sluice::bench
