#include "tests/kernel_port/sim_test_support.h"

namespace sluice::sim {
namespace {

// Two threads of one CPU share what IRQL guards, wait for each other, and queue DPCs: under every seed the rules hold.
void run_under(uint64_t seed) {
  machine system({.processors = 3, .seed = seed});
  struct alignas(64) plain {
    uint64_t value = 0;
  };
  std::vector<plain> counters(3);
  std::atomic<uint64_t> expected{0};
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      activity thread(system, i % 3, 100 + i, 200 + i);
      KEVENT event;
      KeInitializeEvent(&event, SynchronizationEvent, FALSE);
      struct dpc_state {
        std::vector<plain>* counters;
        std::atomic<uint64_t>* expected;
      } state{&counters, &expected};
      KDPC dpc;
      KeInitializeDpc(&dpc, [](PKDPC, PVOID context, PVOID, PVOID) {
        const auto* what = static_cast<dpc_state*>(context);
        ++(*what->counters)[KeGetCurrentProcessorNumberEx(nullptr)].value;
        ++*what->expected;
      }, &state);
      for (int round = 0; round < 300; ++round) {
        const KIRQL old = KeRaiseIrqlToDpcLevel();
        ++counters[KeGetCurrentProcessorNumberEx(nullptr)].value;
        KeLowerIrql(old);
        ++expected;
        KeInsertQueueDpc(&dpc, nullptr, nullptr);
        KeSetEvent(&event, 0, FALSE);
        KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, nullptr);
      }
      KeFlushQueuedDpcs();
    });
  }
  for (std::thread& thread : threads) thread.join();
  uint64_t sum = 0;
  for (const plain& counter : counters) sum += counter.value;
  EXPECT_EQ(sum, expected.load()) << "seed " << seed;
}

TEST(scheduler, the_rules_hold_under_every_seed) {
  for (uint64_t seed = 0; seed < 8; ++seed) run_under(seed);
}

TEST(scheduler, a_seed_moves_threads_between_processors) {
  machine system({.processors = 4, .seed = 1});
  activity thread(system, 0, 100, 101);
  bool moved = false;
  for (int i = 0; i < 10'000 && !moved; ++i) {
    const KIRQL old = KeRaiseIrqlToDpcLevel();
    const ULONG cpu = KeGetCurrentProcessorNumberEx(nullptr);
    EXPECT_EQ(KeGetCurrentProcessorNumberEx(nullptr), cpu) << "but never at DISPATCH_LEVEL";
    KeLowerIrql(old);
    moved = cpu != 0;
  }
  EXPECT_TRUE(moved);
}

TEST(scheduler, without_a_seed_a_thread_stays_where_it_is) {
  machine system({.processors = 4});
  activity thread(system, 2, 100, 101);
  for (int i = 0; i < 1'000; ++i) {
    const KIRQL old = KeRaiseIrqlToDpcLevel();
    ASSERT_EQ(KeGetCurrentProcessorNumberEx(nullptr), 2u);
    KeLowerIrql(old);
  }
}

std::atomic<int> at_passive, at_apc;
VOID on_thread(HANDLE, HANDLE, BOOLEAN) { ++(KeGetCurrentIrql() == APC_LEVEL ? at_apc : at_passive); }

TEST(scheduler, a_seed_calls_thread_routines_at_both_levels_that_are_documented) {
  machine system({.seed = 1});
  activity thread(system, 0, 100, 101);
  at_passive = at_apc = 0;
  PsSetCreateThreadNotifyRoutine(on_thread);
  add_existing_process({.pid = 200, .parent_pid = 100});
  for (int i = 0; i < 200; ++i) {
    create_thread(200, 201, 0);
    exit_thread(200, 201);
  }
  PsRemoveCreateThreadNotifyRoutine(on_thread);
  EXPECT_GT(at_passive, 0);
  EXPECT_GT(at_apc, 0);
}

}  // namespace
}  // namespace sluice::sim
