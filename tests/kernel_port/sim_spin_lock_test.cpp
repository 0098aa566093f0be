#include "tests/kernel_port/sim_test_support.h"

namespace sluice::sim {
namespace {

struct spin_lock : testing::Test {
  machine system{{.processors = 4}};
  activity thread{system, 0, 100, 101};
  KSPIN_LOCK lock;
  spin_lock() { KeInitializeSpinLock(&lock); }
};
using spin_lock_death_test = spin_lock;

TEST_F(spin_lock, excludes_across_processors) {
  uint64_t plain = 0;
  std::vector<std::thread> others;
  for (uint32_t i = 0; i < 4; ++i) {
    others.emplace_back([&, i] {
      activity other(system, i, 200 + i, 300 + i);
      for (int n = 0; n < 5'000; ++n) {
        KIRQL old;
        KeAcquireSpinLock(&lock, &old);
        ++plain;
        KeReleaseSpinLock(&lock, old);
      }
    });
  }
  for (std::thread& other : others) other.join();
  EXPECT_EQ(plain, 20'000u);
}

TEST_F(spin_lock, raises_to_dispatch_level_and_back) {
  const KIRQL old = KeAcquireSpinLockRaiseToDpc(&lock);
  EXPECT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
  EXPECT_FALSE(KeTryToAcquireSpinLockAtDpcLevel(&lock));
  KeReleaseSpinLock(&lock, old);
  EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

TEST_F(spin_lock, guards_a_list) {
  LIST_ENTRY head, first, second;
  InitializeListHead(&head);
  EXPECT_EQ(ExInterlockedInsertTailList(&head, &first, &lock), nullptr);
  EXPECT_EQ(ExInterlockedInsertTailList(&head, &second, &lock), &first);
  EXPECT_EQ(ExInterlockedRemoveHeadList(&head, &lock), &first);
  EXPECT_EQ(ExInterlockedRemoveHeadList(&head, &lock), &second);
  EXPECT_EQ(ExInterlockedRemoveHeadList(&head, &lock), nullptr);
}

TEST_F(spin_lock_death_test, recursion_is_a_bug_check) {
  EXPECT_BUG_CHECK({ KeAcquireSpinLockRaiseToDpc(&lock); KeAcquireSpinLockAtDpcLevel(&lock); }, "SPIN_LOCK_ALREADY_OWNED");
}

TEST_F(spin_lock_death_test, release_of_what_is_not_held_is_a_bug_check) {
  EXPECT_BUG_CHECK({ KeRaiseIrqlToDpcLevel(); KeReleaseSpinLockFromDpcLevel(&lock); }, "SPIN_LOCK_NOT_OWNED");
}

TEST_F(spin_lock_death_test, the_variants_want_their_levels) {
  EXPECT_DEATH(KeAcquireSpinLockAtDpcLevel(&lock), "STOP: 0x000000C4 \\(0x0+40,");
  EXPECT_DEATH(KeReleaseSpinLock(&lock, PASSIVE_LEVEL), "STOP: 0x000000C4 \\(0x0+32,");
  EXPECT_DEATH({ KIRQL old; KeRaiseIrql(HIGH_LEVEL, &old); KeAcquireSpinLock(&lock, &old); },
               "STOP: 0x000000C4 \\(0x0+42,");
}

}  // namespace
}  // namespace sluice::sim
