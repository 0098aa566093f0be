#include "tests/kernel_port/sim_test_support.h"

namespace sluice::sim {
namespace {

struct timer : testing::Test {
  machine system{{.processors = 2}};
  activity thread{system, 1, 100, 101};
  KTIMER object;
  timer() { KeInitializeTimer(&object); }
};
using timer_death_test = timer;

TEST_F(timer, signals_its_waiters_when_due) {
  EXPECT_FALSE(KeSetTimer(&object, milliseconds(2), nullptr));
  EXPECT_EQ(KeWaitForSingleObject(&object, Executive, KernelMode, FALSE, nullptr), STATUS_SUCCESS);
  EXPECT_TRUE(KeReadStateTimer(&object));
  EXPECT_FALSE(KeCancelTimer(&object)) << "it is not set any more";
}

TEST_F(timer, queues_its_dpc_on_the_processor_that_set_it) {
  struct result {
    KEVENT done;
    ULONG cpu;
    KIRQL irql;
  } seen;
  KeInitializeEvent(&seen.done, NotificationEvent, FALSE);
  KDPC dpc;
  KeInitializeDpc(&dpc, [](PKDPC, PVOID context, PVOID, PVOID) {
    auto* result_of = static_cast<result*>(context);
    result_of->cpu = KeGetCurrentProcessorNumberEx(nullptr);
    result_of->irql = KeGetCurrentIrql();
    KeSetEvent(&result_of->done, 0, FALSE);
  }, &seen);
  KeSetTimer(&object, milliseconds(2), &dpc);
  KeWaitForSingleObject(&seen.done, Executive, KernelMode, FALSE, nullptr);
  EXPECT_EQ(seen.cpu, 1u);
  EXPECT_EQ(seen.irql, DISPATCH_LEVEL);
  KeFlushQueuedDpcs();
}

TEST_F(timer, repeats_until_it_is_cancelled) {
  static std::atomic<int> runs;
  runs = 0;
  KDPC dpc;
  KeInitializeDpc(&dpc, [](PKDPC, PVOID, PVOID, PVOID) { ++runs; }, nullptr);
  KeSetTimerEx(&object, milliseconds(1), 1, &dpc);
  eventually([] { return runs.load() >= 5; });
  EXPECT_EQ(system.in_use().timers, 1u);
  EXPECT_TRUE(KeCancelTimer(&object));
  KeFlushQueuedDpcs();
  const int after = runs;
  LARGE_INTEGER a_while = milliseconds(10);
  KeDelayExecutionThread(KernelMode, FALSE, &a_while);
  EXPECT_EQ(runs, after);
  EXPECT_EQ(system.in_use().timers, 0u);
}

TEST_F(timer, setting_it_again_replaces_the_due_time) {
  EXPECT_FALSE(KeSetTimer(&object, milliseconds(3'600'000), nullptr));
  EXPECT_TRUE(KeSetTimer(&object, milliseconds(1), nullptr));
  EXPECT_EQ(KeWaitForSingleObject(&object, Executive, KernelMode, FALSE, nullptr), STATUS_SUCCESS);
}

TEST_F(timer, that_is_cancelled_does_not_fire) {
  EXPECT_FALSE(KeSetTimer(&object, milliseconds(3'600'000), nullptr));
  EXPECT_TRUE(KeCancelTimer(&object));
  EXPECT_FALSE(KeReadStateTimer(&object));
}

TEST_F(timer, the_counter_runs_at_ten_megahertz_and_never_back) {
  LARGE_INTEGER frequency;
  const LONGLONG first = KeQueryPerformanceCounter(&frequency).QuadPart;
  EXPECT_EQ(frequency.QuadPart, 10'000'000);
  LONGLONG last = first;
  for (int i = 0; i < 10'000; ++i) {
    const LONGLONG now = KeQueryPerformanceCounter(nullptr).QuadPart;
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST_F(timer, the_system_time_advances_in_clock_ticks) {
  LARGE_INTEGER coarse, precise;
  KeQuerySystemTime(&coarse);
  EXPECT_EQ(coarse.QuadPart % 156'250, 0);
  SYSTEM_ROUTINE(KeQuerySystemTimePrecise)(&precise);
  EXPECT_GE(precise.QuadPart, coarse.QuadPart);
  EXPECT_GT(coarse.QuadPart, 132'000'000'000'000'000) << "counted from 1601";
}

TEST_F(timer_death_test, must_be_initialized) {
  KTIMER zeroed{};
  EXPECT_BUG_CHECK(KeSetTimer(&zeroed, milliseconds(1), nullptr), "TIMER_OR_DPC_INVALID");
}

TEST_F(timer_death_test, in_freed_pool_is_a_bug_check) {
  auto* block = static_cast<KTIMER*>(ExAllocatePoolWithTag(NonPagedPool, sizeof(KTIMER), 'tset'));
  KeInitializeTimer(block);
  EXPECT_BUG_CHECK({ KeSetTimer(block, milliseconds(3'600'000), nullptr); ExFreePool(block); }, "TIMER_OR_DPC_INVALID");
  ExFreePool(block);
}

}  // namespace
}  // namespace sluice::sim
