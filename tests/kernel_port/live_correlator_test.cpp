// What becomes of forks and execs, and which command line is believed: sequences of records made by hand.
#include <gtest/gtest.h>

#include "kernel_port/sources/live/correlator.h"
#include "tests/kernel_port/live_fixture.h"

namespace sluice::live {
namespace {

constexpr uint64_t window = 1'000'000;

class live_correlator : public testing::Test {
 protected:
  live_correlator() {
    process_snapshot snapshot{.begin = 90, .end = 99};
    snapshot.processes.push_back({.pid = 2, .kernel_thread = true, .started = 1, .threads = {2}});
    snapshot.processes.push_back(
        {.pid = 10, .parent_pid = 1, .started = 2, .image_path = "/bin/sh", .command_line = "sh", .threads = {10}});
    at(99);
    correlator_.begin(snapshot);
    sink_.lines.clear();
  }

  void at(uint64_t time) { names_.time = time; }
  // The record becomes visible at its own time, and everything older was seen.
  void see(linux_record&& record) {
    at(record.time);
    correlator_.observe(std::move(record));
    correlator_.advance(names_.time + 1);
  }
  void wait_until(uint64_t time) {
    at(time);
    correlator_.advance(time);
  }
  std::vector<std::string> take() { return std::exchange(sink_.lines, {}); }

  using lines = std::vector<std::string>;
  fake_names names_;
  recording_sink sink_;
  source_statistics statistics_;
  correlator correlator_{sink_, names_, {.fork_window = window, .retry_interval = 100}, statistics_};
};

TEST_F(live_correlator, fork_and_exec_are_one_process_create_in_the_forking_thread) {
  see(fork_record(100, {10, 10}, {20, 20}));
  EXPECT_EQ(take(), lines{}) << "not decided yet";
  names_.has_arguments(20, "true --now");
  see(exec_record(110, {20, 20}));
  EXPECT_EQ(take(), lines{}) << "the image is not known yet";
  see(map_record(111, {20, 20}, "/usr/bin/true"));
  see(map_record(112, {20, 20}, "/lib/ld.so", 0x9000));
  see(exit_record(120, {20, 20}));
  EXPECT_EQ(take(), (lines{
                        "create 20 parent 10 /usr/bin/true [true --now] in 10.10",
                        "thread 20.20 in 10.10",
                        "image 20 1000+100 /usr/bin/true in 20.20",
                        "image 20 9000+100 /lib/ld.so in 20.20",
                        "exit 20 in 20.20",
                    }));
  EXPECT_EQ(statistics_.command_lines_read, 1u);
  EXPECT_EQ(statistics_.forks_without_exec, 0u);
  EXPECT_FALSE(correlator_.waits());
}

TEST_F(live_correlator, a_short_lived_process_whose_name_is_gone_is_raised_without_it) {
  see(fork_record(100, {10, 10}, {20, 20}));
  see(exec_record(110, {20, 20}));
  see(map_record(111, {20, 20}, "/usr/bin/true"));
  see(exit_record(112, {20, 20}));
  EXPECT_EQ(take(), (lines{"create 20 parent 10 /usr/bin/true [?] in 10.10", "thread 20.20 in 10.10",
                           "image 20 1000+100 /usr/bin/true in 20.20", "exit 20 in 20.20"}));
  EXPECT_EQ(statistics_.command_lines_gone, 1u);
}

TEST_F(live_correlator, arguments_that_exec_has_not_laid_out_yet_are_read_later) {
  see(fork_record(100, {10, 10}, {20, 20}));
  names_.has_no_arguments_yet(20);
  see(exec_record(110, {20, 20}));
  see(map_record(111, {20, 20}, "/usr/bin/true"));
  EXPECT_EQ(take(), lines{});
  ASSERT_TRUE(correlator_.next_look());
  EXPECT_EQ(*correlator_.next_look(), 111u + 100) << "the next attempt";
  names_.has_arguments(20, "true");
  wait_until(*correlator_.next_look());
  EXPECT_EQ(take(), lines{}) << "what was read is believed only when all records up to the read have been seen";
  wait_until(213);
  EXPECT_EQ(take().at(0), "create 20 parent 10 /usr/bin/true [true] in 10.10");
}

TEST_F(live_correlator, arguments_that_never_come_hold_nobody_beyond_the_window) {
  see(fork_record(100, {10, 10}, {20, 20}));
  names_.has_no_arguments_yet(20);
  see(exec_record(110, {20, 20}));
  see(map_record(111, {20, 20}, "/usr/bin/true"));
  wait_until(110 + window);
  EXPECT_EQ(take().at(0), "create 20 parent 10 /usr/bin/true [?] in 10.10");
  EXPECT_EQ(statistics_.command_lines_gone, 1u);
}

TEST_F(live_correlator, a_command_line_read_after_a_second_exec_is_not_the_first_programs) {
  // env has called exec before its command line was read: what was read is the shell's.
  see(fork_record(100, {10, 10}, {20, 20}));
  at(200);
  names_.has_arguments(20, "bash script");
  correlator_.observe(exec_record(110, {20, 20}));
  correlator_.observe(map_record(111, {20, 20}, "/usr/bin/env"));
  correlator_.advance(130);
  EXPECT_EQ(take(), lines{}) << "a second exec between 110 and 200 may still come";
  correlator_.observe(exec_record(140, {20, 20}));
  correlator_.observe(map_record(141, {20, 20}, "/bin/bash"));
  correlator_.advance(201);
  EXPECT_EQ(take(), (lines{"create 20 parent 10 /usr/bin/env [?] in 10.10", "thread 20.20 in 10.10",
                           "image 20 1000+100 /usr/bin/env in 20.20", "image 20 1000+100 /bin/bash in 20.20"}));
  EXPECT_EQ(statistics_.command_lines_gone, 1u);
  EXPECT_EQ(statistics_.replaced_programs, 1u);
}

TEST_F(live_correlator, the_command_line_of_a_later_process_with_the_same_pid_is_not_believed) {
  see(fork_record(100, {10, 10}, {20, 20}));
  names_.has_arguments(20, "somebody else", 5000);  // started after the exec
  see(exec_record(110, {20, 20}));
  see(map_record(111, {20, 20}, "/usr/bin/true"));
  EXPECT_EQ(take().at(0), "create 20 parent 10 /usr/bin/true [?] in 10.10");
}

TEST_F(live_correlator, a_second_exec_is_no_new_process) {
  names_.has_arguments(20, "env bash");
  see(fork_record(100, {10, 10}, {20, 20}));
  see(exec_record(110, {20, 20}));
  see(map_record(111, {20, 20}, "/usr/bin/env"));
  take();
  names_.has_arguments(20, "bash");
  see(exec_record(120, {20, 20}));
  see(map_record(121, {20, 20}, "/bin/bash"));
  see(exit_record(130, {20, 20}));
  EXPECT_EQ(take(), (lines{"image 20 1000+100 /bin/bash in 20.20", "exit 20 in 20.20"}));
  EXPECT_EQ(statistics_.replaced_programs, 1u);
}

TEST_F(live_correlator, a_fork_of_a_replaced_program_runs_the_new_one) {
  names_.has_arguments(10, "bash");
  see(exec_record(100, {10, 10}));
  see(map_record(101, {10, 10}, "/bin/bash"));
  take();
  see(fork_record(110, {10, 10}, {20, 20}));
  see(exit_record(120, {20, 20}));
  EXPECT_EQ(take().at(0), "create 20 parent 10 /bin/bash [bash] in 10.10");
}

TEST_F(live_correlator, a_fork_that_ends_without_exec_ran_its_parents_program) {
  see(fork_record(100, {10, 10}, {20, 20}));
  see(exit_record(110, {20, 20}));
  EXPECT_EQ(take(), (lines{"create 20 parent 10 /bin/sh [sh] in 10.10", "thread 20.20 in 10.10", "exit 20 in 20.20"}));
  EXPECT_EQ(statistics_.forks_without_exec, 1u);
  EXPECT_EQ(statistics_.forks_timed_out, 0u);
  EXPECT_EQ(statistics_.command_lines_inherited, 1u);
}

TEST_F(live_correlator, a_fork_that_forks_or_starts_a_thread_runs_its_parents_program) {
  see(fork_record(100, {10, 10}, {20, 20}));
  see(fork_record(110, {20, 20}, {30, 30}));
  EXPECT_EQ(take().at(0), "create 20 parent 10 /bin/sh [sh] in 10.10");
  see(fork_record(120, {30, 30}, {30, 31}));
  EXPECT_EQ(take(), (lines{"create 30 parent 20 /bin/sh [sh] in 20.20", "thread 30.30 in 20.20",
                           "thread 30.31 in 30.30"}));
}

TEST_F(live_correlator, a_fork_that_does_nothing_waits_no_longer_than_the_window) {
  see(fork_record(100, {10, 10}, {20, 20}));
  ASSERT_TRUE(correlator_.next_look());
  EXPECT_EQ(*correlator_.next_look(), 100 + window);
  wait_until(100 + window - 1);
  EXPECT_EQ(take(), lines{});
  wait_until(100 + window);
  EXPECT_EQ(take().at(0), "create 20 parent 10 /bin/sh [sh] in 10.10");
  EXPECT_EQ(statistics_.forks_timed_out, 1u);
  EXPECT_FALSE(correlator_.next_look()) << "nothing left to look at";
}

TEST_F(live_correlator, an_exec_after_the_window_replaces_the_program_and_is_counted) {
  see(fork_record(100, {10, 10}, {20, 20}));
  wait_until(100 + window);
  take();
  names_.has_arguments(20, "true");
  see(exec_record(200 + window, {20, 20}));
  see(map_record(201 + window, {20, 20}, "/usr/bin/true"));
  EXPECT_EQ(take(), lines{"image 20 1000+100 /usr/bin/true in 20.20"});
  EXPECT_EQ(statistics_.replaced_programs, 1u);
}

TEST_F(live_correlator, an_undecided_fork_holds_back_everything_younger) {
  see(fork_record(100, {10, 10}, {20, 20}));
  see(map_record(105, {10, 10}, "/lib/late.so"));
  see(fork_record(106, {10, 10}, {10, 11}));
  EXPECT_EQ(take(), lines{});
  names_.has_arguments(20, "true");
  see(exec_record(110, {20, 20}));
  see(map_record(111, {20, 20}, "/usr/bin/true"));
  EXPECT_EQ(take(), (lines{"create 20 parent 10 /usr/bin/true [true] in 10.10", "thread 20.20 in 10.10",
                           "image 10 1000+100 /lib/late.so in 10.10", "thread 10.11 in 10.10",
                           "image 20 1000+100 /usr/bin/true in 20.20"}));
}

TEST_F(live_correlator, a_parent_that_ends_at_once_is_still_there_when_its_child_is_raised) {
  see(fork_record(100, {10, 10}, {20, 20}));
  see(exit_record(101, {10, 10}));
  names_.has_arguments(20, "daemon");
  see(exec_record(110, {20, 20}));
  see(map_record(111, {20, 20}, "/sbin/daemon"));
  EXPECT_EQ(take(), (lines{"create 20 parent 10 /sbin/daemon [daemon] in 10.10", "thread 20.20 in 10.10",
                           "exit 10 in 10.10", "image 20 1000+100 /sbin/daemon in 20.20"}));
}

TEST_F(live_correlator, an_exec_that_dies_before_it_maps_anything_has_no_image) {
  see(fork_record(100, {10, 10}, {20, 20}));
  see(exec_record(110, {20, 20}));
  see(exit_record(111, {20, 20}));
  EXPECT_EQ(take(), (lines{"create 20 parent 10 ? [?] in 10.10", "thread 20.20 in 10.10", "exit 20 in 20.20"}));
  EXPECT_EQ(statistics_.image_paths_missing, 1u);
}

TEST_F(live_correlator, a_program_without_executable_file_mappings_is_named_by_proc) {
  see(fork_record(100, {10, 10}, {20, 20}));
  names_.has_arguments(20, "odd");
  names_.image_paths[20] = "/opt/odd";
  see(exec_record(110, {20, 20}));
  see(map_record(111, {20, 20}, "[vdso]"));
  EXPECT_EQ(take(), lines{});
  wait_until(110 + window);
  EXPECT_EQ(take().at(0), "create 20 parent 10 /opt/odd [odd] in 10.10");
  EXPECT_EQ(statistics_.anonymous_mappings, 1u);
}

TEST_F(live_correlator, a_pid_used_again_at_once_is_two_processes) {
  names_.has_arguments(20, "one");
  see(fork_record(100, {10, 10}, {20, 20}));
  see(exec_record(101, {20, 20}));
  see(map_record(102, {20, 20}, "/bin/one"));
  see(exit_record(103, {20, 20}));
  names_.has_arguments(20, "two");
  see(fork_record(104, {10, 10}, {20, 20}));
  see(exec_record(105, {20, 20}));
  see(map_record(106, {20, 20}, "/bin/two"));
  see(exit_record(107, {20, 20}));
  EXPECT_EQ(take(), (lines{"create 20 parent 10 /bin/one [one] in 10.10", "thread 20.20 in 10.10",
                           "image 20 1000+100 /bin/one in 20.20", "exit 20 in 20.20",
                           "create 20 parent 10 /bin/two [two] in 10.10", "thread 20.20 in 10.10",
                           "image 20 1000+100 /bin/two in 20.20", "exit 20 in 20.20"}));
}

TEST_F(live_correlator, both_lives_of_a_pid_seen_in_one_pass_keep_their_own_programs) {
  // The first life is still waiting for its decision when the second begins.
  at(300);
  correlator_.observe(fork_record(100, {10, 10}, {20, 20}));
  correlator_.observe(exec_record(101, {20, 20}));
  correlator_.observe(map_record(102, {20, 20}, "/bin/one"));
  correlator_.observe(exit_record(103, {20, 20}));
  correlator_.observe(fork_record(104, {10, 10}, {20, 20}));
  correlator_.observe(exec_record(105, {20, 20}));
  correlator_.observe(map_record(106, {20, 20}, "/bin/two"));
  correlator_.advance(301);
  auto raised = take();
  ASSERT_EQ(raised.size(), 7u);
  EXPECT_EQ(raised[0], "create 20 parent 10 /bin/one [?] in 10.10");
  EXPECT_EQ(raised[4], "create 20 parent 10 /bin/two [?] in 10.10");
}

TEST_F(live_correlator, kernel_threads_are_not_waited_for) {
  see(fork_record(100, {2, 2}, {40, 40}));
  EXPECT_EQ(take(), (lines{"create 40 parent 2 ? [?] in 2.2", "thread 40.40 in 2.2"}));
}

TEST_F(live_correlator, a_plain_rename_is_no_exec) {
  see(fork_record(100, {10, 10}, {20, 20}));
  linux_record rename = exec_record(105, {20, 20});
  rename.exec = false;
  see(std::move(rename));
  EXPECT_EQ(take(), lines{}) << "the fork is as undecided as before";
  EXPECT_EQ(names_.reads, 0);
}

TEST_F(live_correlator, records_covered_by_the_snapshot_are_left_out) {
  see(fork_record(80, {1, 1}, {10, 10}));  // before it began
  see(fork_record(95, {1, 1}, {10, 10}));  // while it was taken
  wait_until(95 + window);
  EXPECT_EQ(take(), lines{});
  EXPECT_EQ(statistics_.before_start, 2u);
}

TEST_F(live_correlator, what_happened_after_the_stop_is_looked_at_and_not_raised) {
  see(fork_record(100, {10, 10}, {20, 20}));
  correlator_.stop_at(105);
  EXPECT_FALSE(correlator_.stopped()) << "the fork has to be raised";
  names_.has_arguments(20, "true");
  see(exec_record(110, {20, 20}));
  see(map_record(111, {20, 20}, "/usr/bin/true"));
  EXPECT_TRUE(correlator_.stopped());
  EXPECT_EQ(take(), (lines{"create 20 parent 10 /usr/bin/true [true] in 10.10", "thread 20.20 in 10.10"}));
  EXPECT_EQ(statistics_.after_stop, 2u);
}

TEST_F(live_correlator, nothing_is_remembered_of_processes_that_ended) {
  names_.has_arguments(20, "true");
  size_t before = correlator_.watcher().watched();
  for (uint64_t round = 0; round < 100; ++round) {
    uint64_t time = 100 + round * 10;
    see(fork_record(time, {10, 10}, {20, 20}));
    see(exec_record(time + 1, {20, 20}));
    see(map_record(time + 2, {20, 20}, "/bin/true"));
    see(exit_record(time + 3, {20, 20}));
  }
  EXPECT_EQ(correlator_.watcher().watched(), before);
  EXPECT_EQ(correlator_.processes().size(), 2u);
  EXPECT_EQ(statistics_.process_creates, 100u);
  EXPECT_EQ(statistics_.process_exits, 100u);
}

}  // namespace
}  // namespace sluice::live
