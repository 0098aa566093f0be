#include "tests/kernel_port/sim_test_support.h"

namespace sluice::sim {
namespace {

TEST(processor, numbers_count_across_groups) {
  machine system({.processors = 130, .processors_per_group = 64});
  activity thread(system, 129, 1000, 1001);
  PROCESSOR_NUMBER number;
  EXPECT_EQ(KeGetCurrentProcessorNumberEx(&number), 129u);
  EXPECT_EQ(number.Group, 2);
  EXPECT_EQ(number.Number, 1);
  EXPECT_EQ(KeGetCurrentProcessorNumber(), 1u) << "the old function sees its group only";
  EXPECT_EQ(KeQueryMaximumProcessorCountEx(ALL_PROCESSOR_GROUPS), 130u);
  EXPECT_EQ(KeQueryMaximumProcessorCountEx(0), 64u);
  EXPECT_EQ(KeQueryMaximumProcessorCountEx(2), 2u);
  EXPECT_EQ(KeQueryActiveProcessorCountEx(3), 0u);
  PROCESSOR_NUMBER from_index;
  EXPECT_EQ(KeGetProcessorNumberFromIndex(65, &from_index), STATUS_SUCCESS);
  EXPECT_EQ(from_index.Group, 1);
  EXPECT_EQ(from_index.Number, 1);
  EXPECT_EQ(KeGetProcessorIndexFromNumber(&from_index), 65u);
  EXPECT_EQ(KeGetProcessorNumberFromIndex(130, &from_index), STATUS_INVALID_PARAMETER);
  PROCESSOR_NUMBER none{2, 2, 0};
  EXPECT_EQ(KeGetProcessorIndexFromNumber(&none), 0xffffffffu);
}

TEST(processor, a_thread_moves_only_below_dispatch_level) {
  machine system({.processors = 3});
  activity thread(system, 0, 1000, 1001);
  thread.migrate(2);
  EXPECT_EQ(KeGetCurrentProcessorNumberEx(nullptr), 2u);
  thread.become(1, 2000, 2001);
  EXPECT_EQ(KeGetCurrentProcessorNumberEx(nullptr), 1u);
  EXPECT_EQ(PsGetCurrentProcessId(), id(2000));
}

// What IRQL alone guards is exact: this is what owning a virtual CPU means.
TEST(processor, a_counter_guarded_by_dispatch_level_alone_loses_nothing) {
  constexpr uint32_t processors = 2, threads_each = 4, rounds = 20'000;
  machine system({.processors = processors});
  struct alignas(128) plain {
    uint64_t value = 0;
  };
  std::vector<plain> counters(processors);
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < processors * threads_each; ++i) {
    threads.emplace_back([&, i] {
      activity thread(system, i % processors, 1000 + i, 2000 + i);
      for (uint32_t round = 0; round < rounds; ++round) {
        const KIRQL old = KeRaiseIrqlToDpcLevel();
        plain& counter = counters[KeGetCurrentProcessorNumberEx(nullptr)];
        const uint64_t value = counter.value;
        if (round % 64 == 0) std::this_thread::yield();  // invites an overlap
        counter.value = value + 1;
        KeLowerIrql(old);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const plain& counter : counters) EXPECT_EQ(counter.value, uint64_t{threads_each} * rounds);
}

TEST(processor, threads_of_one_processor_run_at_the_same_time_below_dispatch_level) {
  machine system({.processors = 1});
  std::atomic<int> inside{0};
  const auto meet = [&](uint32_t tid) {
    activity thread(system, 0, 1000, tid);
    KIRQL old;
    KeRaiseIrql(APC_LEVEL, &old);
    ++inside;
    eventually([&] { return inside.load() == 2; });  // ends only if both are in here
    KeLowerIrql(old);
  };
  std::thread first(meet, 1), second(meet, 2);
  first.join();
  second.join();
}

TEST(processor, owners_of_different_processors_do_not_wait_for_each_other) {
  machine system({.processors = 2});
  std::atomic<int> inside{0};
  const auto meet = [&](uint32_t cpu) {
    activity thread(system, cpu, 1000, 2000 + cpu);
    const KIRQL old = KeRaiseIrqlToDpcLevel();
    ++inside;
    eventually([&] { return inside.load() == 2; });
    KeLowerIrql(old);
  };
  std::thread first(meet, 0), second(meet, 1);
  first.join();
  second.join();
}

TEST(processor, two_hundred_and_fifty_six_idle_ones_cost_no_thread) {
  machine system({.processors = 256});
  activity thread(system, 255, 1000, 1001);
  const KIRQL old = KeRaiseIrqlToDpcLevel();
  EXPECT_EQ(KeGetCurrentProcessorNumberEx(nullptr), 255u);
  KeLowerIrql(old);
}

TEST(processor_death_test, there_is_one_machine_at_a_time) {
  machine system;
  EXPECT_DEATH(machine second, "there is a machine already");
}

TEST(processor_death_test, a_processor_that_does_not_exist_is_refused) {
  machine system({.processors = 2});
  EXPECT_DEATH(activity(system, 2, 1, 1), "no processor 2");
}

}  // namespace
}  // namespace sluice::sim
