// pipeline/wake.h and pass_result::may_sleep. W1: a close is seen by the consumer's last look, or its closer is told to
// signal. W2: a consumer that may not sleep, or not for ever, can see it.
#include "pipeline/wake.h"

#include <gtest/gtest.h>

#include "tests/pipeline/support.h"

using namespace sluice;
using namespace sluice::test;

namespace {

struct wake_case : testing::Test {
  manual_time time;
  test_cpu first{manual_clock{&time}};
  test_cpu second{manual_clock{&time}, [] {
                    cpu_options options;
                    options.cpu = 1;
                    return options;
                  }()};
  std::function<void()> at_barrier;
  collector sink;
  exact_merge m{manual_clock{&time}, exact(scripted_barrier{&at_barrier}), {&first.main, &second.main}};

  pass_result pass(uint64_t at) {
    time.now = at;
    const pass_result result = m.pass(sink);
    m.merged.release();
    return result;
  }
};

}  // namespace

TEST(wake_line, a_closer_learns_what_the_consumer_announced) {
  wake_line<native_seam> line;
  EXPECT_EQ(line.after_close(), announcement::running);
  for (auto level : {announcement::threshold, announcement::any_close, announcement::running}) {
    line.announce(level);
    EXPECT_EQ(line.after_close(), level);
    EXPECT_EQ(line.after_close(), level) << "only the consumer clears it";
  }
}

TEST(wake_line, it_has_a_line_of_its_own) {
  EXPECT_EQ(sizeof(wake_line<native_seam>), shared_word_distance);
  EXPECT_EQ(alignof(wake_line<native_seam>), shared_word_distance);
}

TEST_F(wake_case, w1_with_nothing_pending_the_consumer_may_sleep) { EXPECT_TRUE(pass(10).may_sleep()); }

// Committed, but held back by an idle ring's T: nobody will signal for it again.
TEST_F(wake_case, w1_a_closed_record_behind_an_idle_ring_s_bound_forbids_sleep) {
  time.now = 50;
  ASSERT_EQ(second.write(1), reserve_status::ok);
  const pass_result held_back = pass(50);
  EXPECT_EQ(held_back.end, pass_end::idle_bound);
  EXPECT_TRUE(held_back.closed_pending);
  EXPECT_FALSE(held_back.may_sleep());
  EXPECT_TRUE(pass(60).may_sleep());
  EXPECT_EQ(sink.records.size(), 1u);
}

TEST_F(wake_case, w1_a_discarded_record_that_is_pending_forbids_sleep_too) {
  time.now = 50;
  record open;
  ASSERT_EQ(second.reserve(open), reserve_status::ok);
  open.close(record_state::discarded);
  EXPECT_FALSE(pass(50).may_sleep());
  EXPECT_TRUE(pass(60).may_sleep());
}

// Stopped by a stamped record: whoever closes it signals.
TEST_F(wake_case, w1_stopped_by_a_stamped_record_the_consumer_may_sleep_whatever_is_pending) {
  time.now = 10;
  record open;
  ASSERT_EQ(first.reserve(open), reserve_status::ok);
  time.now = 20;
  ASSERT_EQ(second.write(1), reserve_status::ok);
  const pass_result result = pass(100);
  EXPECT_EQ(result.end, pass_end::stamped);
  EXPECT_TRUE(result.closed_pending);
  EXPECT_TRUE(result.may_sleep());
}

// Between publication and stamp: its stamp signals nobody.
TEST_F(wake_case, w1_stopped_by_a_reserved_head_the_consumer_looks_again) {
  time.now = 10;
  ASSERT_EQ(second.write(1), reserve_status::ok);
  bool looked = false;
  time.on_read = [&] {
    if (looked) return;
    looked = true;
    EXPECT_FALSE(pass(100).may_sleep());
  };
  ASSERT_EQ(first.write(2), reserve_status::ok);
  EXPECT_TRUE(looked);
}

// The record states are judged, not the positions: a record that was open at the last look and closed since.
TEST_F(wake_case, w1_the_look_before_sleep_sees_a_close_that_no_position_shows) {
  time.now = 10;
  record open;
  ASSERT_EQ(first.reserve(open), reserve_status::ok);
  EXPECT_EQ(pass(100).end, pass_end::stamped);
  test_cpu::commit(open, 7);
  EXPECT_EQ(pass(100).emitted, 1u) << "nothing was published in between";
}

// The checked order is announce, T, barrier, look. A close that is made visible by the barrier, its closer having seen
// `running`, is found by that look.
TEST_F(wake_case, w1_a_close_that_saw_no_announcement_is_seen_by_the_look) {
  wake_line<native_seam> line;
  time.now = 10;
  record open;
  ASSERT_EQ(first.reserve(open), reserve_status::ok);
  announcement seen = line.after_close();  // the closer's load came early; its store is still on the way
  line.announce(announcement::any_close);
  at_barrier = [&] { test_cpu::commit(open, 7); };
  const pass_result look = pass(100);
  EXPECT_EQ(seen, announcement::running);
  EXPECT_EQ(look.emitted, 1u);
}

// Also for one that was set aside.
TEST_F(wake_case, w1_the_look_before_sleep_sees_the_close_of_a_record_set_aside) {
  exact_merge bounded(manual_clock{&time}, exact(scripted_barrier{&at_barrier}), {&first.main, &second.main}, {100});
  time.now = 10;
  record open;
  ASSERT_EQ(first.reserve(open), reserve_status::ok);
  time.now = 1000;
  bounded.pass(sink);
  ASSERT_EQ(bounded.merged.set_aside_records(), 1u);
  at_barrier = [&] { test_cpu::commit(open, 7); };
  EXPECT_EQ(bounded.pass(sink).emitted, 1u);
}

// W2: nobody wakes a consumer to set a record aside; it must know until when it may sleep, also where the open record did
// not end the pass because its time is not yet older than T.
TEST_F(wake_case, w2_a_consumer_that_may_sleep_over_an_open_record_knows_since_when_it_is_open) {
  time.now = 50;
  record open;
  ASSERT_EQ(second.reserve(open), reserve_status::ok);
  const pass_result result = pass(50);
  EXPECT_EQ(result.end, pass_end::idle_bound);
  EXPECT_TRUE(result.may_sleep());
  EXPECT_EQ(result.open_time, 50u);
  open.close(record_state::discarded);
  EXPECT_EQ(pass(60).open_time, 0u);
}
