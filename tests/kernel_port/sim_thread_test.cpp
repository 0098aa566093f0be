#include "tests/kernel_port/sim_test_support.h"

namespace sluice::sim {
namespace {

struct system_thread : testing::Test {
  machine system;
  activity thread{system, 1, 100, 101};

  static PVOID start(PKSTART_ROUTINE routine, PVOID context) {
    HANDLE handle;
    if (!NT_SUCCESS(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, nullptr, nullptr, nullptr, routine, context))) {
      return nullptr;
    }
    PVOID object;
    ObReferenceObjectByHandle(handle, SYNCHRONIZE, *PsThreadType, KernelMode, &object, nullptr);
    ZwClose(handle);
    return object;
  }
  static void join(PVOID object) {
    KeWaitForSingleObject(object, Executive, KernelMode, FALSE, nullptr);
    ObDereferenceObject(object);
  }
};
using system_thread_death_test = system_thread;

TEST_F(system_thread, runs_in_the_system_process_at_passive_level) {
  struct result {
    HANDLE pid;
    KIRQL irql;
    BOOLEAN is_system;
  } seen{};
  join(start([](PVOID context) {
    auto* result_of = static_cast<result*>(context);
    result_of->pid = PsGetCurrentProcessId();
    result_of->irql = KeGetCurrentIrql();
    result_of->is_system = PsIsSystemThread(PsGetCurrentThread());
  }, &seen));
  EXPECT_EQ(seen.pid, id(4));
  EXPECT_EQ(seen.irql, PASSIVE_LEVEL);
  EXPECT_TRUE(seen.is_system);
}

TEST_F(system_thread, terminates_itself_and_signals_its_object) {
  static std::atomic<bool> after;
  after = false;
  PVOID object = start([](PVOID) {
    PsTerminateSystemThread(0x1234);
    after = true;
  }, nullptr);
  KeWaitForSingleObject(object, Executive, KernelMode, FALSE, nullptr);
  EXPECT_FALSE(after);
  EXPECT_EQ(PsGetThreadExitStatus(static_cast<PETHREAD>(object)), 0x1234);
  EXPECT_EQ(system.in_use().system_threads, 0u);
  ObDereferenceObject(object);
}

TEST_F(system_thread, only_a_system_thread_terminates_so) {
  EXPECT_EQ(PsTerminateSystemThread(0), STATUS_INVALID_PARAMETER);
}

TEST_F(system_thread, the_nth_creation_fails_when_told) {
  system.fail_call(machine::failure::thread_creation, 1);
  EXPECT_EQ(start([](PVOID) {}, nullptr), nullptr);
  join(start([](PVOID) {}, nullptr));
}

TEST_F(system_thread, many_come_and_go) {
  std::atomic<int> runs{0};
  for (int i = 0; i < 30; ++i) join(start([](PVOID context) { ++*static_cast<std::atomic<int>*>(context); }, &runs));
  EXPECT_EQ(runs, 30);
}

TEST_F(system_thread_death_test, may_not_end_with_a_raised_irql_or_in_a_region) {
  EXPECT_BUG_CHECK(join(start([](PVOID) { KeRaiseIrqlToDpcLevel(); }, nullptr)), "IRQL_UNEXPECTED_VALUE");
  EXPECT_BUG_CHECK(join(start([](PVOID) { KIRQL old; KeRaiseIrql(APC_LEVEL, &old); PsTerminateSystemThread(0); }, nullptr)),
                   "IRQL_UNEXPECTED_VALUE");
  EXPECT_BUG_CHECK(join(start([](PVOID) { KeEnterCriticalRegion(); }, nullptr)), "KERNEL_APC_PENDING_DURING_EXIT");
}

TEST_F(system_thread_death_test, is_not_created_above_passive_level) {
  EXPECT_BUG_CHECK({ KIRQL old; KeRaiseIrql(APC_LEVEL, &old); start([](PVOID) {}, nullptr); },
                   "DRIVER_VERIFIER_DETECTED_VIOLATION");
}

}  // namespace
}  // namespace sluice::sim
