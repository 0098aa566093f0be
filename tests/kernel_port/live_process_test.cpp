// Threads and processes out of tasks; what is done about losses.
#include <gtest/gtest.h>

#include "kernel_port/sources/live/correlator.h"
#include "tests/kernel_port/live_fixture.h"

namespace sluice::live {
namespace {

class live_process : public testing::Test {
 protected:
  live_process() {
    process_snapshot snapshot{.begin = 90, .end = 99};
    snapshot.processes.push_back(
        {.pid = 10, .parent_pid = 1, .started = 2, .image_path = "/bin/app", .command_line = "app", .threads = {10, 11}});
    correlator_.begin(snapshot);
  }
  void see(linux_record&& record) {
    names_.time = record.time;
    correlator_.observe(std::move(record));
    correlator_.advance(names_.time + 1);
  }
  std::vector<std::string> take() { return std::exchange(sink_.lines, {}); }
  void reconcile(uint64_t begin, std::vector<snapshot_process> processes) {
    ASSERT_TRUE(correlator_.wants_reconciliation());
    correlator_.begin_reconciliation();
    correlator_.reconcile({.begin = begin, .end = begin + 10, .processes = std::move(processes)});
    correlator_.advance(begin + 11);
  }

  using lines = std::vector<std::string>;
  fake_names names_;
  recording_sink sink_;
  source_statistics statistics_;
  correlator correlator_{sink_, names_, {.fork_window = 1000, .retry_interval = 100}, statistics_};
};

TEST_F(live_process, what_was_there_before_is_known_and_not_raised) {
  EXPECT_EQ(take(), (lines{"existing 10", "existing thread 10.10", "existing thread 10.11"}));
  EXPECT_EQ(statistics_.process_creates, 0u);
  EXPECT_EQ(statistics_.existing_processes, 1u);
  EXPECT_EQ(statistics_.existing_threads, 2u);
}

TEST_F(live_process, a_process_ends_with_its_last_thread) {
  take();
  see(fork_record(100, {10, 11}, {10, 12}));
  see(exit_record(101, {10, 11}));
  see(exit_record(102, {10, 12}));
  see(exit_record(103, {10, 10}));
  EXPECT_EQ(take(), (lines{"thread 10.12 in 10.11", "thread exit 10.11 in 10.11", "thread exit 10.12 in 10.12",
                           "exit 10 in 10.10"}));
  EXPECT_EQ(statistics_.thread_exits, 3u) << "the last thread's too";
}

TEST_F(live_process, a_process_outlives_its_first_thread) {
  take();
  see(exit_record(100, {10, 10}));
  EXPECT_EQ(take(), lines{"thread exit 10.10 in 10.10"});
  see(map_record(101, {10, 11}, "/lib/x.so"));
  see(exit_record(102, {10, 11}));
  EXPECT_EQ(take(), (lines{"image 10 1000+100 /lib/x.so in 10.11", "exit 10 in 10.11"}));
}

TEST_F(live_process, exec_by_another_thread_gives_it_the_first_threads_number) {
  take();
  names_.has_arguments(10, "true");
  see(exit_record(100, {10, 10}));  // the first thread is ended by the kernel
  see(exec_record(101, {10, 10}));  // thread 11 goes on as thread 10; Linux reports no end of 11
  see(map_record(102, {10, 10}, "/bin/true"));
  see(exit_record(103, {10, 10}));
  EXPECT_EQ(take(), (lines{"thread exit 10.10 in 10.10", "thread 10.10 in 10.11", "thread exit 10.11 in 10.11",
                           "image 10 1000+100 /bin/true in 10.10", "exit 10 in 10.10"}));
}

TEST_F(live_process, threads_and_images_of_an_unknown_process_and_its_end_are_counted) {
  take();
  see(fork_record(100, {50, 50}, {50, 51}));
  see(map_record(101, {50, 50}, "/lib/x.so"));
  see(exit_record(103, {50, 50}));
  EXPECT_EQ(take(), lines{});
  EXPECT_EQ(statistics_.unknown_tasks, 3u);
  EXPECT_EQ(correlator_.watcher().watched(), 0u) << "nothing is kept of it";
}

TEST_F(live_process, a_process_whose_fork_has_no_record_begins_with_its_exec) {
  take();
  names_.has_arguments(50, "sh");
  names_.answers[50].parent_pid = 10;
  see(exec_record(100, {50, 50}));
  EXPECT_EQ(take(), lines{}) << "its image is not known yet";
  EXPECT_TRUE(correlator_.next_look());
  see(map_record(101, {50, 50}, "/bin/sh"));
  see(exec_record(110, {50, 50}));  // from now on it is one like any other
  see(exit_record(120, {50, 50}));
  EXPECT_EQ(take(), (lines{"create 50 parent 10 /bin/sh [sh] in 10.10", "thread 50.50 in 10.10",
                           "image 50 1000+100 /bin/sh in 50.50", "exit 50 in 50.50"}));
  EXPECT_EQ(statistics_.found_by_exec, 1u);
  EXPECT_EQ(statistics_.command_lines_read, 1u);
  EXPECT_EQ(statistics_.unknown_tasks, 0u);
  EXPECT_EQ(correlator_.watcher().watched(), 0u);
}

TEST_F(live_process, a_process_whose_fork_has_no_record_waits_no_longer_than_the_window) {
  take();
  see(exec_record(100, {50, 50}));
  EXPECT_EQ(take(), lines{});
  names_.time = 100 + 1000;
  correlator_.advance(names_.time);
  EXPECT_EQ(take(), (lines{"create 50 parent 0 ? [?] in 0.0", "thread 50.50 in 0.0"}));
}

TEST_F(live_process, a_fork_by_an_unknown_process_is_raised_without_an_image) {
  take();
  see(fork_record(100, {50, 50}, {60, 60}));
  see(exit_record(101, {60, 60}));
  EXPECT_EQ(take(), (lines{"create 60 parent 50 ? [?] in 50.50", "thread 60.60 in 50.50", "exit 60 in 60.60"}));
  EXPECT_EQ(statistics_.image_paths_missing, 1u);
}

TEST_F(live_process, tasks_of_other_pid_namespaces_are_left_out_and_counted) {
  take();
  see(exit_record(100, {0, 0}));
  see(exit_record(101, {-1, -1}));
  see(map_record(102, {0, 0}, "/lib/x.so"));
  EXPECT_EQ(take(), lines{});
  EXPECT_EQ(statistics_.outside_namespace, 3u);
}

TEST_F(live_process, a_process_entering_from_another_namespace_has_no_parent_here) {
  take();
  see(fork_record(100, {0, 0}, {60, 60}));
  see(exit_record(101, {60, 60}));
  EXPECT_EQ(take().at(0), "create 60 parent 0 ? [?] in 0.0");
}

TEST_F(live_process, a_pid_in_use_again_without_an_end_gets_the_end_first) {
  take();
  see(fork_record(100, {1, 1}, {10, 10}));
  see(exit_record(101, {10, 10}));
  EXPECT_EQ(take(), (lines{"exit 10 in 10.10", "create 10 parent 1 ? [?] in 1.1", "thread 10.10 in 1.1",
                           "exit 10 in 10.10"}));
  EXPECT_EQ(statistics_.reconciled, 1u);
}

TEST_F(live_process, a_loss_asks_for_a_comparison_with_proc) {
  EXPECT_FALSE(correlator_.wants_reconciliation());
  see(lost_record(100, 5));
  EXPECT_TRUE(correlator_.wants_reconciliation());
}

TEST_F(live_process, ends_that_were_lost_are_raised_after_the_comparison) {
  take();
  see(lost_record(100, 5));
  reconcile(200, {});
  EXPECT_EQ(take(), lines{"exit 10 in 10.10"});
  EXPECT_EQ(statistics_.reconciled, 1u);
  EXPECT_EQ(statistics_.reconciliations, 1u);
}

TEST_F(live_process, beginnings_that_were_lost_are_raised_after_the_comparison) {
  take();
  see(lost_record(100, 5));
  reconcile(200, {{.pid = 10, .parent_pid = 1, .started = 2, .threads = {10, 12}},
                  {.pid = 20,
                   .parent_pid = 10,
                   .started = 150,
                   .image_path = "/bin/new",
                   .command_line = "new",
                   .threads = {20, 21}}});
  EXPECT_EQ(take(), (lines{"thread 10.12 in 10.10", "thread exit 10.11 in 10.11",
                           "create 20 parent 10 /bin/new [new] in 10.10", "thread 20.20 in 20.20",
                           "thread 20.21 in 20.20"}));
}

TEST_F(live_process, what_ended_after_the_snapshot_saw_it_is_not_begun_again) {
  take();
  see(lost_record(100, 5));
  correlator_.begin_reconciliation();
  see(fork_record(201, {10, 10}, {20, 20}));
  see(exit_record(205, {20, 20}));
  take();
  correlator_.reconcile({.begin = 200,
                         .end = 210,
                         .processes = {{.pid = 10, .started = 2, .threads = {10, 11}},
                                       {.pid = 20, .parent_pid = 10, .started = 201, .threads = {20}}}});
  correlator_.advance(211);
  EXPECT_EQ(take(), lines{});
  EXPECT_EQ(statistics_.reconciled, 0u);
}

TEST_F(live_process, what_began_after_the_snapshot_did_is_not_ended_by_it) {
  take();
  see(lost_record(100, 5));
  correlator_.begin_reconciliation();
  see(fork_record(205, {10, 10}, {20, 20}));
  see(fork_record(206, {20, 20}, {20, 21}));
  take();
  correlator_.reconcile({.begin = 200, .end = 210, .processes = {{.pid = 10, .started = 2, .threads = {10, 11}}}});
  correlator_.advance(211);
  EXPECT_EQ(take(), lines{});
}

TEST_F(live_process, a_pid_that_became_another_process_unseen_is_ended_and_begun) {
  take();
  see(lost_record(100, 5));
  reconcile(2'000'000'000, {{.pid = 10,
                             .parent_pid = 1,
                             .started = 1'000'000'000,
                             .image_path = "/bin/other",
                             .threads = {10}}});
  EXPECT_EQ(take(), (lines{"exit 10 in 10.10", "create 10 parent 1 /bin/other [?] in 1.1", "thread 10.10 in 10.10"}));
}

TEST_F(live_process, a_loss_during_the_comparison_asks_for_another) {
  see(lost_record(100, 5));
  correlator_.begin_reconciliation();
  see(lost_record(150, 1));
  EXPECT_TRUE(correlator_.wants_reconciliation());
  correlator_.reconcile({.begin = 140, .end = 160, .processes = {{.pid = 10, .started = 2, .threads = {10, 11}}}});
  correlator_.advance(161);
  EXPECT_TRUE(correlator_.wants_reconciliation());
}

TEST(live_statistics, delays_are_told_by_their_share) {
  source_statistics statistics;
  for (int i = 0; i < 99; ++i) statistics.add_delay(3'000);  // 3 us: below 4
  statistics.add_delay(1'000'000);                           // 1000 us: below 1024
  EXPECT_EQ(statistics.delay_below(0.5), 4u);
  EXPECT_EQ(statistics.delay_below(1), 1024u);
  EXPECT_EQ(statistics.longest_delay, 1'000'000u);
}

}  // namespace
}  // namespace sluice::live
