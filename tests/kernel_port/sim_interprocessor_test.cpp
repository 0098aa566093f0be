#include "tests/kernel_port/sim_test_support.h"

namespace sluice::sim {
namespace {

struct visits {
  std::atomic<uint32_t> of_cpu[256] = {};
  std::atomic<uint32_t> wrong_irql{0};

  static ULONG_PTR routine(ULONG_PTR context) {
    auto& self = *reinterpret_cast<visits*>(context);
    const ULONG cpu = KeGetCurrentProcessorNumberEx(nullptr);
    ++self.of_cpu[cpu];
    if (KeGetCurrentIrql() != IPI_LEVEL) ++self.wrong_irql;
    return cpu;
  }
};

TEST(interprocessor_call, visits_every_processor_once) {
  machine system({.processors = 256});
  activity thread(system, 7, 100, 101);
  visits seen;
  EXPECT_EQ(KeIpiGenericCall(visits::routine, reinterpret_cast<ULONG_PTR>(&seen)), 7u) << "the caller's own result";
  for (const auto& count : seen.of_cpu) EXPECT_EQ(count, 1u);
  EXPECT_EQ(seen.wrong_irql, 0u);
  EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

TEST(interprocessor_call, lands_inside_a_section_at_dispatch_level) {
  machine system({.processors = 2});
  std::atomic<bool> inside{false}, leave{false};
  std::thread owner([&] {
    activity thread(system, 1, 200, 201);
    const KIRQL old = KeRaiseIrqlToDpcLevel();
    inside = true;
    while (!leave) YieldProcessor();
    EXPECT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL) << "and is back where it was";
    KeLowerIrql(old);
  });
  eventually([&] { return inside.load(); });
  activity thread(system, 0, 100, 101);
  visits seen;
  // Returns although CPU 1 is owned the whole time: a DPC would have to wait.
  KeIpiGenericCall(visits::routine, reinterpret_cast<ULONG_PTR>(&seen));
  EXPECT_EQ(seen.of_cpu[1], 1u);
  EXPECT_EQ(seen.wrong_irql, 0u);
  leave = true;
  owner.join();
}

TEST(interprocessor_call, two_callers_at_once_both_come_through) {
  machine system({.processors = 2});
  std::vector<std::thread> callers;
  visits seen;
  for (uint32_t i = 0; i < 2; ++i) {
    callers.emplace_back([&, i] {
      activity thread(system, i, 100 + i, 200 + i);
      for (int n = 0; n < 20; ++n) KeIpiGenericCall(visits::routine, reinterpret_cast<ULONG_PTR>(&seen));
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(seen.of_cpu[0], 40u);
  EXPECT_EQ(seen.of_cpu[1], 40u);
}

TEST(interprocessor_call, reaches_processors_whose_threads_wait_or_are_suspended) {
  machine system({.processors = 3});
  KEVENT event;
  KeInitializeEvent(&event, NotificationEvent, FALSE);
  std::atomic<bool> spinning{false}, stop{false};
  std::thread waiter([&] {
    activity thread(system, 1, 200, 201);
    KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, nullptr);
  });
  std::thread suspended([&] {
    activity thread(system, 2, 300, 301);
    spinning = true;
    while (!stop) YieldProcessor();
  });
  eventually([&] { return spinning.load(); });
  activity thread(system, 0, 100, 101);
  eventually([&] { return system.suspend_thread(301); });
  visits seen;
  KeIpiGenericCall(visits::routine, reinterpret_cast<ULONG_PTR>(&seen));
  for (int cpu = 0; cpu < 3; ++cpu) EXPECT_EQ(seen.of_cpu[cpu], 1u);
  system.resume_thread(301);
  stop = true;
  KeSetEvent(&event, 0, FALSE);
  waiter.join();
  suspended.join();
}

}  // namespace
}  // namespace sluice::sim
