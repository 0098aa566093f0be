// With this machine's real perf events. Skipped, with the reason, where the kernel does not permit them.
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <mutex>
#include <set>
#include <thread>

#include "kernel_port/sources/live/live_source.h"
#include "tests/kernel_port/live_fixture.h"

extern char** environ;

namespace sluice::live {
namespace {

// What was raised, as facts; outlives the source.
struct journal {
  enum class fact { existing, existing_thread, create, exit, thread, thread_exit, image };
  struct entry {
    fact what;
    uint32_t pid;
    uint32_t tid = 0;
    uint32_t parent = 0;
    std::optional<std::string> path;
    std::optional<std::string> command_line;
    activity_place place;
  };
  std::vector<entry> entries;

  std::vector<entry> of(uint32_t pid) const {
    std::vector<entry> found;
    for (const entry& each : entries)
      if (each.pid == pid) found.push_back(each);
    return found;
  }
};

class journal_sink : public activity_sink {
 public:
  explicit journal_sink(journal& to) : to_(to) {}
  void add_existing_process(const process_description& p) override {
    to_.entries.push_back({.what = journal::fact::existing, .pid = p.pid});
  }
  void add_existing_thread(uint32_t pid, uint32_t tid) override {
    to_.entries.push_back({.what = journal::fact::existing_thread, .pid = pid, .tid = tid});
  }
  void create_process(const activity_place& place, const process_description& p) override {
    to_.entries.push_back({.what = journal::fact::create,
                           .pid = p.pid,
                           .parent = p.parent_pid,
                           .path = p.image_path,
                           .command_line = p.command_line,
                           .place = place});
  }
  void exit_process(const activity_place& place, uint32_t pid) override {
    to_.entries.push_back({.what = journal::fact::exit, .pid = pid, .place = place});
  }
  void create_thread(const activity_place& place, uint32_t pid, uint32_t tid) override {
    to_.entries.push_back({.what = journal::fact::thread, .pid = pid, .tid = tid, .place = place});
  }
  void exit_thread(const activity_place& place, uint32_t pid, uint32_t tid) override {
    to_.entries.push_back({.what = journal::fact::thread_exit, .pid = pid, .tid = tid, .place = place});
  }
  void load_image(const activity_place& place, const image_description& image) override {
    to_.entries.push_back({.what = journal::fact::image, .pid = image.pid, .path = image.path, .place = place});
  }

 private:
  journal& to_;
};

pid_t start_shell(const std::string& script) {
  std::string command = script;
  std::string shell = "sh", option = "-c";
  char* arguments[] = {shell.data(), option.data(), command.data(), nullptr};
  pid_t pid = 0;
  if (posix_spawn(&pid, "/bin/sh", nullptr, nullptr, arguments, environ) != 0) return -1;
  return pid;
}

void run_shell(const std::string& script, pid_t& pid) {
  pid = start_shell(script);
  ASSERT_GT(pid, 0);
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  ASSERT_TRUE(WIFEXITED(status));
  ASSERT_EQ(WEXITSTATUS(status), 0);
}

class live_perf : public testing::Test {
 protected:
  // The window is long: a loaded machine may take its time between fork and exec.
  static live_options patient() {
    live_options options;
    options.correlation.fork_window = 60'000'000'000;
    return options;
  }

  // Starts, or skips the test with the reason.
  void start(const live_options& options) {
    source_ = std::make_unique<live_source>(options, [this] { return std::make_unique<journal_sink>(journal_); });
    try {
      source_->start();
    } catch (const live_error& error) {
      if (error.kind() != live_error_kind::no_permission && error.kind() != live_error_kind::unsupported) throw;
      GTEST_SKIP() << error.what();
    }
  }
  void stop() { source_->stop(); }

  journal journal_;
  std::unique_ptr<live_source> source_;
};

TEST_F(live_perf, two_hundred_short_lived_processes_are_raised_whole_and_in_order) {
  ASSERT_NO_FATAL_FAILURE(start(patient()));
  if (IsSkipped()) return;
  pid_t shell = 0;
  ASSERT_NO_FATAL_FAILURE(run_shell("i=0; while [ $i -lt 200 ]; do /bin/true; i=$((i+1)); done", shell));
  stop();

  std::string path = std::filesystem::canonical("/bin/true");
  auto parent = static_cast<uint32_t>(shell);
  std::vector<uint32_t> children;
  for (const journal::entry& each : journal_.entries)
    if (each.what == journal::fact::create && each.parent == parent) children.push_back(each.pid);
  ASSERT_EQ(children.size(), 200u);
  ASSERT_EQ(std::set<uint32_t>(children.begin(), children.end()).size(), 200u);

  size_t named = 0;
  for (uint32_t pid : children) {
    auto life = journal_.of(pid);
    ASSERT_GE(life.size(), 4u) << "pid " << pid;
    EXPECT_EQ(life[0].what, journal::fact::create);
    EXPECT_EQ(life[0].path.value_or("none"), path);
    EXPECT_EQ(life[0].place.pid, parent) << "in the shell";
    EXPECT_EQ(life[1].what, journal::fact::thread);
    EXPECT_EQ(life[1].tid, pid);
    EXPECT_EQ(life[2].what, journal::fact::image);
    EXPECT_EQ(life[2].path.value_or("none"), path) << "its own image first";
    for (size_t i = 3; i + 1 < life.size(); ++i) EXPECT_EQ(life[i].what, journal::fact::image);
    EXPECT_EQ(life.back().what, journal::fact::exit);
    EXPECT_EQ(life.back().place.pid, pid) << "in itself";
    if (life[0].command_line) {
      ++named;
      EXPECT_EQ(*life[0].command_line, "/bin/true");
    }
  }
  // The shell waits for each: one has ended before the next begins.
  uint32_t running = 0;
  for (const journal::entry& each : journal_.entries) {
    if (each.what == journal::fact::create && each.parent == parent) {
      EXPECT_EQ(running, 0u) << "pid " << each.pid << " began before that had ended";
      running = each.pid;
    }
    if (each.what == journal::fact::exit && running == each.pid) running = 0;
  }

  source_statistics counted = source_->statistics();
  EXPECT_EQ(counted.lost, 0u);
  EXPECT_GE(counted.process_creates, 201u);
  EXPECT_GE(counted.process_exits, 201u);
  EXPECT_GE(counted.command_lines_read, named);
  RecordProperty("command_lines_read_of_200", static_cast<int>(named));
}

TEST_F(live_perf, a_process_that_lives_on_has_its_command_line) {
  ASSERT_NO_FATAL_FAILURE(start(patient()));
  if (IsSkipped()) return;
  pid_t pid = start_shell("exec 3<&-; read line < /dev/null; : 'a word'; kill -STOP $$; :");
  ASSERT_GT(pid, 0);
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, WUNTRACED), pid);
  ASSERT_TRUE(WIFSTOPPED(status));
  stop();
  kill(pid, SIGKILL);
  waitpid(pid, &status, 0);

  auto life = journal_.of(static_cast<uint32_t>(pid));
  ASSERT_GE(life.size(), 3u);
  EXPECT_EQ(life[0].what, journal::fact::create);
  ASSERT_TRUE(life[0].command_line);
  EXPECT_EQ(*life[0].command_line, "sh -c \"exec 3<&-; read line < /dev/null; : 'a word'; kill -STOP $$; :\"");
  EXPECT_EQ(life[0].place.pid, static_cast<uint32_t>(getpid()));
}

TEST_F(live_perf, a_fork_without_exec_is_a_process_running_this_program) {
  live_options options;
  options.correlation.fork_window = 1'000'000;
  ASSERT_NO_FATAL_FAILURE(start(options));
  if (IsSkipped()) return;
  int release[2];
  ASSERT_EQ(pipe(release), 0);
  pid_t pid = fork();
  if (pid == 0) {
    char byte;
    close(release[1]);
    (void)!read(release[0], &byte, 1);
    _exit(0);
  }
  ASSERT_GT(pid, 0);
  stop();  // the child lives: only the window decides
  close(release[1]);
  close(release[0]);
  waitpid(pid, nullptr, 0);

  auto life = journal_.of(static_cast<uint32_t>(pid));
  ASSERT_EQ(life.size(), 2u);
  EXPECT_EQ(life[0].what, journal::fact::create);
  EXPECT_NE(life[0].path.value_or("").find("live_test"), std::string::npos);
  EXPECT_EQ(life[1].what, journal::fact::thread);
  EXPECT_GE(source_->statistics().forks_timed_out, 1u);
}

TEST_F(live_perf, threads_of_this_process_are_threads) {
  ASSERT_NO_FATAL_FAILURE(start(patient()));
  if (IsSkipped()) return;
  uint32_t tid = 0;
  std::thread([&] { tid = static_cast<uint32_t>(syscall(SYS_gettid)); }).join();
  // join returns when the thread has let go of its memory, a moment before it has ended.
  std::string task = fmt::format("/proc/self/task/{}", tid);
  while (std::filesystem::exists(task)) std::this_thread::yield();
  stop();

  std::vector<journal::fact> seen;
  for (const journal::entry& each : journal_.of(static_cast<uint32_t>(getpid())))
    if (each.tid == tid) seen.push_back(each.what);
  EXPECT_EQ(seen, (std::vector{journal::fact::thread, journal::fact::thread_exit}));
}

TEST_F(live_perf, exec_by_another_thread_keeps_threads_and_process_in_balance) {
  // The child begins while this process has one thread, and waits: it may start threads of its own.
  int release[2];
  ASSERT_EQ(pipe(release), 0);
  pid_t pid = fork();
  if (pid == 0) {
    char byte;
    if (read(release[0], &byte, 1) != 1) _exit(7);
    std::thread([] {
      execl("/bin/true", "true", "from-thread", nullptr);
      _exit(9);
    }).join();
    _exit(8);
  }
  ASSERT_GT(pid, 0);
  close(release[0]);
  start(patient());
  bool started = !IsSkipped() && write(release[1], "x", 1) == 1;
  close(release[1]);
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  if (IsSkipped()) return;
  ASSERT_TRUE(started);
  ASSERT_TRUE(WIFEXITED(status));
  ASSERT_EQ(WEXITSTATUS(status), 0);
  stop();

  auto life = journal_.of(static_cast<uint32_t>(pid));
  std::set<uint32_t> threads;
  size_t created = 0;
  for (const journal::entry& each : life) {
    if (each.what == journal::fact::existing_thread) threads.insert(each.tid);
    if (each.what == journal::fact::thread) {
      ++created;
      EXPECT_TRUE(threads.insert(each.tid).second) << each.tid;
    }
    if (each.what == journal::fact::thread_exit) {
      EXPECT_EQ(threads.erase(each.tid), 1u) << each.tid;
    }
  }
#if defined(__SANITIZE_THREAD__)
  EXPECT_GE(created, 2u) << "the run-time library of TSan has a thread of its own in the child";
#else
  EXPECT_EQ(created, 2u) << "the thread, and the first thread that it became";
#endif
  EXPECT_EQ(threads, std::set<uint32_t>{static_cast<uint32_t>(pid)}) << "the one that the exit of the process ends";
  ASSERT_FALSE(life.empty());
  EXPECT_EQ(life.front().what, journal::fact::existing);
  EXPECT_EQ(life.back().what, journal::fact::exit);
}

TEST_F(live_perf, a_ring_that_is_too_small_loses_countably_and_the_processes_come_right_again) {
  live_options options;
  options.ring_bytes = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  options.nice = 0;
  // A sink as slow as this lets the smallest ring overflow.
  class slow_sink : public journal_sink {
   public:
    slow_sink(journal& to, std::atomic<bool>& slow) : journal_sink(to), slow_(slow) {}
    void create_process(const activity_place& place, const process_description& p) override {
      while (slow_) std::this_thread::yield();
      journal_sink::create_process(place, p);
    }
    std::atomic<bool>& slow_;
  };
  std::atomic<bool> slow{true};
  source_ = std::make_unique<live_source>(options, [&] { return std::make_unique<slow_sink>(journal_, slow); });
  try {
    source_->start();
  } catch (const live_error& error) {
    GTEST_SKIP() << error.what();
  }
  pid_t shell = 0;
  run_shell("i=0; while [ $i -lt 100 ]; do /bin/true; i=$((i+1)); done", shell);
  slow = false;
  // Something that comes after the loss, so that the kernel can announce it.
  while (source_->statistics().reconciliations == 0) ASSERT_NO_FATAL_FAILURE(run_shell("/bin/true", shell));
  stop();

  source_statistics counted = source_->statistics();
  EXPECT_GT(counted.lost, 0u);
  std::set<uint32_t> living;
  for (const journal::entry& each : journal_.entries) {
    if (each.what == journal::fact::existing) living.insert(each.pid);
    if (each.what == journal::fact::create) {
      EXPECT_TRUE(living.insert(each.pid).second) << "pid " << each.pid << " began twice";
    }
    if (each.what == journal::fact::exit) {
      EXPECT_EQ(living.erase(each.pid), 1u) << "pid " << each.pid << " ended without a beginning";
    }
  }
}

TEST_F(live_perf, stops_at_once_when_nothing_happens_and_only_once) {
  ASSERT_NO_FATAL_FAILURE(start(patient()));
  if (IsSkipped()) return;
  stop();
  size_t raised = journal_.entries.size();
  stop();
  EXPECT_EQ(journal_.entries.size(), raised);
  EXPECT_THROW(source_->start(), live_error) << "a source starts once";
  EXPECT_FALSE(source_->failure());
}

TEST_F(live_perf, a_sink_that_fails_stops_the_source_with_its_reason) {
  class failing_sink : public journal_sink {
   public:
    using journal_sink::journal_sink;
    void add_existing_process(const process_description&) override { throw std::runtime_error("no room here"); }
  };
  live_source source({}, [this] { return std::make_unique<failing_sink>(journal_); });
  try {
    source.start();
    FAIL() << "started";
  } catch (const live_error& error) {
    if (error.kind() == live_error_kind::no_permission || error.kind() == live_error_kind::unsupported)
      GTEST_SKIP() << error.what();
    EXPECT_NE(std::string(error.what()).find("no room here"), std::string::npos) << error.what();
  }
  EXPECT_TRUE(source.failure());
}

TEST(live_options, impossible_ring_sizes_are_refused_with_the_size) {
  journal unused;
  for (uint64_t bytes : {uint64_t{0}, uint64_t{1}, uint64_t{1000}, uint64_t{12288}, uint64_t{1} << 40}) {
    try {
      live_source source({.ring_bytes = bytes}, [&] { return std::make_unique<journal_sink>(unused); });
      FAIL() << bytes << " accepted";
    } catch (const live_error& error) {
      EXPECT_EQ(error.kind(), live_error_kind::wrong_option);
      EXPECT_NE(std::string(error.what()).find(std::to_string(bytes)), std::string::npos) << error.what();
    }
  }
}

// In a child process, which gives up its rights first.
TEST(live_permission, without_it_one_line_says_what_to_set) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give up the right that the test is about";
  int report[2];
  ASSERT_EQ(pipe(report), 0);
  pid_t pid = fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    std::string text = "not refused";
    if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0) _exit(1);
    journal unused;
    live_source source({}, [&] { return std::make_unique<journal_sink>(unused); });
    try {
      source.start();
    } catch (const live_error& error) {
      text = fmt::format("{} {}", error.kind() == live_error_kind::no_permission, error.what());
    }
    (void)!write(report[1], text.data(), text.size());
    _exit(0);
  }
  close(report[1]);
  std::string text(4096, '\0');
  ssize_t length = read(report[0], text.data(), text.size());
  close(report[0]);
  waitpid(pid, nullptr, 0);
  ASSERT_GT(length, 0);
  text.resize(static_cast<size_t>(length));
  if (text == "not refused") GTEST_SKIP() << "this machine lets everybody watch (kernel.perf_event_paranoid)";
  EXPECT_EQ(text.substr(0, 5), "true ");
  EXPECT_EQ(text.find('\n'), std::string::npos) << "one line";
  EXPECT_TRUE(text.find("perf_event_paranoid=-1") != std::string::npos ||
              text.find("perf_event_mlock_kb") != std::string::npos)
      << text;
}

}  // namespace
}  // namespace sluice::live
