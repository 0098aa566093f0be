// The live source on the simulated NT kernel: what notify routines see.
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <mutex>

#include "kernel_port/sim/machine.h"
#include "kernel_port/sources/live/live_source.h"
#include "kernel_port/sources/live/machine_sink.h"
#include "tests/kernel_port/sim_test_support.h"

extern char** environ;

namespace sluice::live {
namespace {

using sim::system_routine;

struct sighting {
  std::string what;
  uint32_t pid = 0, other = 0, context_pid = 0, context_tid = 0, cpu = 0;
  std::u16string image, command_line;
  bool has_image = false, has_command_line = false;
  int32_t exit_status = -1;
};
std::mutex mutex;
std::vector<sighting> seen;  // routines have no context argument

uint32_t number(HANDLE id) { return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(id)); }

sighting here(const char* what, HANDLE pid, HANDLE other = nullptr) {
  sighting now;
  now.what = what;
  now.pid = number(pid);
  now.other = number(other);
  now.context_pid = number(PsGetCurrentProcessId());
  now.context_tid = number(PsGetCurrentThreadId());
  now.cpu = KeGetCurrentProcessorNumberEx(nullptr);
  return now;
}
void keep(sighting&& now) {
  std::lock_guard lock(mutex);
  seen.push_back(std::move(now));
}
std::u16string text_of(PCUNICODE_STRING string) {
  return std::u16string(reinterpret_cast<const char16_t*>(string->Buffer), string->Length / 2);
}

VOID on_process(PEPROCESS process, HANDLE pid, PPS_CREATE_NOTIFY_INFO info) {
  sighting now = here(info != nullptr ? "create" : "exit", pid, info != nullptr ? info->ParentProcessId : nullptr);
  if (info == nullptr) now.exit_status = PsGetProcessExitStatus(process);
  if (info != nullptr && info->ImageFileName != nullptr) {
    now.has_image = true;
    now.image = text_of(info->ImageFileName);
  }
  if (info != nullptr && info->CommandLine != nullptr) {
    now.has_command_line = true;
    now.command_line = text_of(info->CommandLine);
  }
  keep(std::move(now));
}
VOID on_thread(HANDLE pid, HANDLE tid, BOOLEAN create) { keep(here(create ? "thread" : "thread exit", pid, tid)); }
VOID on_image(PUNICODE_STRING name, HANDLE pid, PIMAGE_INFO) {
  sighting now = here("image", pid);
  if (name != nullptr) {
    now.has_image = true;
    now.image = text_of(name);
  }
  keep(std::move(now));
}

class live_machine : public testing::Test {
 protected:
  live_machine() {
    seen.clear();
    sim::activity here(machine_, 0, 0, 0);
    EXPECT_EQ(SYSTEM_ROUTINE(PsSetCreateProcessNotifyRoutineEx)(on_process, FALSE), STATUS_SUCCESS);
    EXPECT_EQ(PsSetCreateThreadNotifyRoutine(on_thread), STATUS_SUCCESS);
    EXPECT_EQ(PsSetLoadImageNotifyRoutine(on_image), STATUS_SUCCESS);
  }
  ~live_machine() override {
    sim::activity here(machine_, 0, 0, 0);
    PsRemoveLoadImageNotifyRoutine(on_image);
    PsRemoveCreateThreadNotifyRoutine(on_thread);
    SYSTEM_ROUTINE(PsSetCreateProcessNotifyRoutineEx)(on_process, TRUE);
  }
  std::vector<std::string> order() const {
    std::vector<std::string> names;
    for (const sighting& each : seen) names.push_back(each.what);
    return names;
  }
  sim::machine machine_{sim::machine_options{.processors = 2}};
};

TEST_F(live_machine, callbacks_see_the_linux_task_and_its_cpu) {
  machine_sink sink(machine_);
  sink.create_process({.cpu = 3, .pid = 100, .tid = 101},
                      {.pid = 200, .parent_pid = 100, .image_path = "/bin/\xc3\xa9", .command_line = "e -x"});
  sink.create_thread({.cpu = 3, .pid = 100, .tid = 101}, 200, 200);
  sink.load_image({.cpu = 0, .pid = 200, .tid = 200}, {.pid = 200, .base = 0x1000, .size = 0x100, .path = "/lib/x"});
  sink.exit_process({.cpu = 1, .pid = 200, .tid = 200}, 200);
  ASSERT_EQ(order(), (std::vector<std::string>{"create", "thread", "image", "thread exit", "exit"}));
  EXPECT_EQ(seen[0].pid, 200u);
  EXPECT_EQ(seen[0].other, 100u);
  EXPECT_EQ(seen[0].context_pid, 100u);
  EXPECT_EQ(seen[0].context_tid, 101u);
  EXPECT_EQ(seen[0].cpu, 1u) << "CPU 3 of a machine with two";
  EXPECT_EQ(seen[0].image, u"/bin/\u00e9");
  EXPECT_EQ(seen[0].command_line, u"e -x");
  EXPECT_EQ(seen[2].cpu, 0u);
  EXPECT_EQ(seen[2].image, u"/lib/x");
  EXPECT_EQ(seen[4].context_tid, 200u);
  EXPECT_EQ(seen[4].exit_status, 0);
  EXPECT_EQ(sink.refused(), 0u);
}

TEST_F(live_machine, names_that_are_gone_are_null) {
  machine_sink sink(machine_);
  sink.create_process({.cpu = 0, .pid = 100, .tid = 101}, {.pid = 200, .parent_pid = 100});
  sink.load_image({.cpu = 0, .pid = 200, .tid = 200}, {.pid = 200, .base = 0x1000, .size = 0x100});
  sink.exit_process({.cpu = 0, .pid = 200, .tid = 200}, 200);
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_FALSE(seen[0].has_image);
  EXPECT_FALSE(seen[0].has_command_line);
  EXPECT_FALSE(seen[1].has_image);
}

TEST_F(live_machine, existing_processes_are_known_and_not_raised) {
  machine_sink sink(machine_);
  sink.add_existing_process({.pid = 300, .parent_pid = 1});
  sink.add_existing_thread(300, 300);
  sink.add_existing_thread(300, 301);
  EXPECT_TRUE(seen.empty());
  sink.exit_process({.cpu = 0, .pid = 300, .tid = 300}, 300);
  EXPECT_EQ(seen.size(), 3u) << "both threads and the process";
  EXPECT_EQ(sink.refused(), 0u);
}

TEST_F(live_machine, linux_pid_4_never_touches_the_system_process) {
  machine_sink sink(machine_);
  sink.add_existing_process({.pid = 4, .parent_pid = 2});
  sink.add_existing_thread(4, 4);
  EXPECT_EQ(sink.refused(), 0u);
  sink.exit_process({.cpu = 0, .pid = 4, .tid = 4}, 4);
  EXPECT_TRUE(seen.empty());
  EXPECT_EQ(sink.refused(), 1u);
}

TEST_F(live_machine, a_pid_that_the_machine_has_already_is_refused_and_counted) {
  machine_sink sink(machine_);
  sink.create_process({.cpu = 0}, {.pid = 200});
  sink.create_process({.cpu = 0}, {.pid = 200});
  EXPECT_EQ(sink.refused(), 1u);
  sink.exit_process({.cpu = 0, .pid = 200, .tid = 200}, 200);
}

TEST_F(live_machine, a_real_program_comes_through_to_the_notify_routines) {
  live_options options;
  options.correlation.fork_window = 60'000'000'000;
  live_source source(options, machine_);
  try {
    source.start();
  } catch (const live_error& error) {
    if (error.kind() != live_error_kind::no_permission && error.kind() != live_error_kind::unsupported) throw;
    GTEST_SKIP() << error.what();
  }
  std::string name = "true";
  char* arguments[] = {name.data(), nullptr};
  pid_t pid = 0;
  ASSERT_EQ(posix_spawn(&pid, "/bin/true", nullptr, nullptr, arguments, environ), 0);
  ASSERT_EQ(waitpid(pid, nullptr, 0), pid);
  source.stop();

  std::vector<std::string> life;
  for (const sighting& each : seen) {
    if (each.pid != static_cast<uint32_t>(pid)) continue;
    life.push_back(each.what);
    if (each.what != "create") continue;
    EXPECT_EQ(each.other, static_cast<uint32_t>(getpid()));
    EXPECT_EQ(each.context_pid, static_cast<uint32_t>(getpid()));
    EXPECT_EQ(each.image, std::filesystem::canonical("/bin/true").u16string());
    if (each.has_command_line) {
      EXPECT_EQ(each.command_line, u"true");
    }
  }
  ASSERT_GE(life.size(), 5u);
  EXPECT_EQ(life[0], "create");
  EXPECT_EQ(life[1], "thread");
  EXPECT_EQ(life[2], "image");
  EXPECT_EQ(life[life.size() - 2], "thread exit");
  EXPECT_EQ(life.back(), "exit");

  // What the source says it raised, and what the kernel says was raised: two counts.
  source_statistics counted = source.statistics();
  sim::raised_counts raised = sim::raised();
  EXPECT_EQ(counted.refused, 0u);
  EXPECT_EQ(counted.process_creates, raised.process_create);
  EXPECT_EQ(counted.process_exits, raised.process_exit);
  EXPECT_EQ(counted.thread_creates, raised.thread_create);
  EXPECT_EQ(counted.thread_exits, raised.thread_exit);
  EXPECT_EQ(counted.image_loads, raised.image_load);
}

}  // namespace
}  // namespace sluice::live
