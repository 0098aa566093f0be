#include "tests/kernel_port/sim_test_support.h"

namespace sluice::sim {
namespace {

struct recorder {
  std::atomic<int> runs{0};
  std::atomic<KIRQL> irql{0xff};
  std::atomic<ULONG> cpu{~0u};
  std::atomic<HANDLE> pid{nullptr};
  std::atomic<PVOID> argument{nullptr};

  static VOID routine(PKDPC, PVOID context, PVOID argument1, PVOID) {
    auto& self = *static_cast<recorder*>(context);
    self.irql = KeGetCurrentIrql();
    self.cpu = KeGetCurrentProcessorNumberEx(nullptr);
    self.pid = PsGetCurrentProcessId();
    self.argument = argument1;
    ++self.runs;
  }
};

struct dpc : testing::Test {
  machine system{{.processors = 4}};
  activity thread{system, 1, 100, 101};
  recorder seen;
  KDPC object;
  dpc() { KeInitializeDpc(&object, recorder::routine, &seen); }
};
using dpc_death_test = dpc;

TEST_F(dpc, interrupts_the_thread_that_queues_it_below_dispatch_level) {
  EXPECT_TRUE(KeInsertQueueDpc(&object, id(7), nullptr));
  EXPECT_EQ(seen.runs, 1) << "on this CPU it runs before the call returns";
  EXPECT_EQ(seen.irql, DISPATCH_LEVEL);
  EXPECT_EQ(seen.cpu, 1u);
  EXPECT_EQ(seen.pid, id(100)) << "in the context of the interrupted thread";
  EXPECT_EQ(seen.argument, id(7));
}

TEST_F(dpc, waits_until_the_owner_of_its_processor_lowers_its_irql) {
  const KIRQL old = KeRaiseIrqlToDpcLevel();
  EXPECT_TRUE(KeInsertQueueDpc(&object, id(1), nullptr));
  EXPECT_FALSE(KeInsertQueueDpc(&object, id(2), nullptr)) << "queued at most once";
  EXPECT_EQ(seen.runs, 0);
  KeLowerIrql(old);
  EXPECT_EQ(seen.runs, 1);
  EXPECT_EQ(seen.argument, id(1));
}

TEST_F(dpc, goes_to_its_target_processor) {
  PROCESSOR_NUMBER target{0, 3, 0};
  ASSERT_EQ(KeSetTargetProcessorDpcEx(&object, &target), STATUS_SUCCESS);
  EXPECT_TRUE(KeInsertQueueDpc(&object, nullptr, nullptr));
  KeFlushQueuedDpcs();
  EXPECT_EQ(seen.runs, 1);
  EXPECT_EQ(seen.cpu, 3u);
  PROCESSOR_NUMBER none{0, 4, 0};
  EXPECT_EQ(KeSetTargetProcessorDpcEx(&object, &none), STATUS_INVALID_PARAMETER);
}

TEST_F(dpc, can_be_removed_while_it_is_queued) {
  const KIRQL old = KeRaiseIrqlToDpcLevel();
  KeInsertQueueDpc(&object, nullptr, nullptr);
  EXPECT_TRUE(KeRemoveQueueDpc(&object));
  EXPECT_FALSE(KeRemoveQueueDpc(&object));
  KeLowerIrql(old);
  EXPECT_EQ(seen.runs, 0);
}

TEST_F(dpc, of_high_importance_comes_first) {
  static std::vector<int> order;
  order.clear();
  KDPC ordinary, important;
  KeInitializeDpc(&ordinary, [](PKDPC, PVOID, PVOID, PVOID) { order.push_back(1); }, nullptr);
  KeInitializeDpc(&important, [](PKDPC, PVOID, PVOID, PVOID) { order.push_back(2); }, nullptr);
  KeSetImportanceDpc(&important, HighImportance);
  const KIRQL old = KeRaiseIrqlToDpcLevel();
  KeInsertQueueDpc(&ordinary, nullptr, nullptr);
  KeInsertQueueDpc(&important, nullptr, nullptr);
  KeLowerIrql(old);
  EXPECT_EQ(order, (std::vector<int>{2, 1}));
}

TEST_F(dpc, can_queue_itself_again_from_its_routine) {
  static std::atomic<int> left;
  left = 5;
  KDPC again;
  KeInitializeDpc(&again, [](PKDPC self, PVOID, PVOID, PVOID) {
    if (--left > 0) {
      EXPECT_TRUE(KeInsertQueueDpc(self, nullptr, nullptr));
    }
  }, nullptr);
  KeInsertQueueDpc(&again, nullptr, nullptr);
  EXPECT_EQ(left, 0);
}

TEST_F(dpc, a_flush_waits_for_what_was_queued_on_every_processor) {
  std::vector<recorder> seen_on(4);
  std::vector<KDPC> objects(4);
  for (UCHAR i = 0; i < 4; ++i) {
    PROCESSOR_NUMBER target{0, i, 0};
    KeInitializeDpc(&objects[i], recorder::routine, &seen_on[i]);
    KeSetTargetProcessorDpcEx(&objects[i], &target);
    KeInsertQueueDpc(&objects[i], nullptr, nullptr);
  }
  KeFlushQueuedDpcs();
  for (ULONG i = 0; i < 4; ++i) {
    EXPECT_EQ(seen_on[i].runs, 1);
    EXPECT_EQ(seen_on[i].cpu, i);
  }
}

// A DPC and an owner of its CPU share plain memory, and nothing tears.
TEST(dpc_overlap, a_dpc_never_runs_while_another_owns_its_processor) {
  machine system({.processors = 2});
  struct shared {
    uint64_t plain = 0;  // guarded by owning CPU 0
    std::atomic<bool> inside{false};
    std::atomic<uint64_t> overlaps{0};
    std::atomic<uint64_t> dpc_runs{0};
    void section() {
      if (inside.exchange(true, std::memory_order_relaxed)) overlaps.fetch_add(1, std::memory_order_relaxed);
      ++plain;
      inside.store(false, std::memory_order_relaxed);
    }
  } state;
  KDPC object;
  {
    activity thread(system, 1, 100, 101);
    KeInitializeDpc(&object, [](PKDPC, PVOID context, PVOID, PVOID) {
      auto& shared_state = *static_cast<shared*>(context);
      shared_state.section();
      ++shared_state.dpc_runs;
    }, &state);
    PROCESSOR_NUMBER target{0, 0, 0};
    KeSetTargetProcessorDpcEx(&object, &target);
  }
  constexpr uint64_t rounds = 20'000;
  std::vector<std::thread> owners;
  for (uint32_t i = 0; i < 2; ++i) {
    owners.emplace_back([&, i] {
      activity thread(system, 0, 200 + i, 300 + i);
      for (uint64_t round = 0; round < rounds; ++round) {
        const KIRQL old = KeRaiseIrqlToDpcLevel();
        state.section();
        KeLowerIrql(old);
      }
    });
  }
  uint64_t queued = 0;
  {
    activity thread(system, 1, 100, 101);
    for (uint64_t round = 0; round < 2'000; ++round) queued += KeInsertQueueDpc(&object, nullptr, nullptr);
    for (std::thread& owner : owners) owner.join();
    KeFlushQueuedDpcs();
  }
  EXPECT_EQ(state.overlaps, 0u);
  EXPECT_EQ(state.dpc_runs, queued) << "each one queued ran once";
  EXPECT_EQ(state.plain, 2 * rounds + queued);
}

TEST_F(dpc_death_test, may_not_lower_its_irql) {
  KeInitializeDpc(&object, [](PKDPC, PVOID, PVOID, PVOID) { KeLowerIrql(PASSIVE_LEVEL); }, nullptr);
  EXPECT_BUG_CHECK_SAYING(KeInsertQueueDpc(&object, nullptr, nullptr), "DRIVER_VERIFIER_DETECTED_VIOLATION",
                          "inside a DPC");
}

TEST_F(dpc_death_test, may_not_return_at_another_irql) {
  KeInitializeDpc(&object, [](PKDPC, PVOID, PVOID, PVOID) {
    KIRQL old;
    KeRaiseIrql(HIGH_LEVEL, &old);
  }, nullptr);
  EXPECT_BUG_CHECK(KeInsertQueueDpc(&object, nullptr, nullptr), "IRQL_UNEXPECTED_VALUE");
}

TEST_F(dpc_death_test, may_not_wait) {
  static KEVENT event;
  KeInitializeEvent(&event, NotificationEvent, FALSE);
  KeInitializeDpc(&object, [](PKDPC, PVOID, PVOID, PVOID) {
    KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, nullptr);
  }, nullptr);
  EXPECT_BUG_CHECK(KeInsertQueueDpc(&object, nullptr, nullptr), "ATTEMPTED_SWITCH_FROM_DPC");
}

TEST_F(dpc_death_test, must_be_initialized) {
  KDPC zeroed{};
  EXPECT_BUG_CHECK(KeInsertQueueDpc(&zeroed, nullptr, nullptr), "TIMER_OR_DPC_INVALID");
}

}  // namespace
}  // namespace sluice::sim
