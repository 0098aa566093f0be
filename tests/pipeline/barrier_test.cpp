// pipeline/barrier.h: what a pass's bound is, and in which order it is made.
#include "pipeline/barrier.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/pipeline/support.h"

using namespace sluice;
using namespace sluice::test;

TEST(exact_order, m1_the_clock_is_read_first_and_the_barrier_runs_after_it) {
  std::string order;
  manual_time time{500, 0, [&] { order += "clock "; }};
  std::function<void()> script = [&] { order += "barrier "; };
  exact policy(scripted_barrier{&script});
  manual_clock clock{&time};
  EXPECT_EQ(policy.take_bound(clock), 500u);
  EXPECT_EQ(order, "clock barrier ");
  EXPECT_EQ(policy.ticks_to_settle(clock), 0u);
}

TEST(slack_order, the_bound_is_the_margin_before_now_and_never_wraps) {
  manual_time time{500, 0, {}};
  manual_clock clock{&time};
  slack_order policy(100);
  EXPECT_EQ(policy.take_bound(clock), 400u);
  EXPECT_EQ(policy.ticks_to_settle(clock), 100u);
  time.now = 100;
  EXPECT_EQ(policy.take_bound(clock), 0u);
  time.now = 40;
  EXPECT_EQ(policy.take_bound(clock), 0u);
}
