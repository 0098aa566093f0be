#include "tests/kernel_port/sim_test_support.h"

namespace sluice::sim {
namespace {

struct rundown : testing::Test {
  machine system{{.processors = 2}};
  activity thread{system, 0, 100, 101};
  EX_RUNDOWN_REF reference;
  rundown() { ExInitializeRundownProtection(&reference); }
};
using rundown_death_test = rundown;

TEST_F(rundown, refuses_after_it_is_complete_until_initialized_again) {
  EXPECT_TRUE(ExAcquireRundownProtection(&reference));
  ExReleaseRundownProtection(&reference);
  ExWaitForRundownProtectionRelease(&reference);
  EXPECT_FALSE(ExAcquireRundownProtection(&reference));
  ExWaitForRundownProtectionRelease(&reference);  // complete already
  ExReInitializeRundownProtection(&reference);
  EXPECT_TRUE(ExAcquireRundownProtectionEx(&reference, 3));
  ExReleaseRundownProtectionEx(&reference, 3);
}

TEST_F(rundown, waits_for_every_holder) {
  std::atomic<bool> held{false}, released{false};
  std::thread holder([&] {
    activity other(system, 1, 200, 201);
    EXPECT_TRUE(ExAcquireRundownProtection(&reference));
    held = true;
    // The waiter has begun when new references are refused.
    eventually([&] {
      if (!ExAcquireRundownProtection(&reference)) return true;
      ExReleaseRundownProtection(&reference);
      return false;
    });
    released = true;
    ExReleaseRundownProtection(&reference);
  });
  eventually([&] { return held.load(); });
  ExWaitForRundownProtectionRelease(&reference);
  EXPECT_TRUE(released);
  holder.join();
}

TEST_F(rundown, protects_under_contention) {
  for (int round = 0; round < 50; ++round) {
    auto object = std::make_unique<int>(1);
    std::vector<std::thread> users;
    for (uint32_t i = 0; i < 2; ++i) {
      users.emplace_back([&, i] {
        activity other(system, i, 200 + i, 300 + i);
        while (ExAcquireRundownProtection(&reference)) {
          EXPECT_EQ(*object, 1);
          ExReleaseRundownProtection(&reference);
        }
      });
    }
    ExWaitForRundownProtectionRelease(&reference);
    object.reset();
    for (std::thread& user : users) user.join();
    ExReInitializeRundownProtection(&reference);
  }
}

TEST_F(rundown, that_is_acquired_while_its_wait_begins_is_waited_for) {
  std::atomic<bool> started{false}, stop{false};
  std::thread user([&] {
    activity other(system, 1, 200, 201);
    started = true;
    // As many at once as never before: a count left over from another wait is not right by chance.
    for (ULONG count = 1; !stop.load(std::memory_order_relaxed); ++count) {
      if (ExAcquireRundownProtectionEx(&reference, count)) ExReleaseRundownProtectionEx(&reference, count);
    }
  });
  eventually([&] { return started.load(); });
  for (int round = 0; round < 300'000; ++round) {
    ExWaitForRundownProtectionRelease(&reference);
    ExReInitializeRundownProtection(&reference);
  }
  stop = true;
  user.join();
}

TEST_F(rundown_death_test, a_release_too_many_is_a_bug_check) {
  EXPECT_BUG_CHECK(ExReleaseRundownProtection(&reference), "DRIVER_VERIFIER_DETECTED_VIOLATION");
}

TEST_F(rundown_death_test, waiting_at_dispatch_level_is_a_bug_check) {
  EXPECT_BUG_CHECK({ KeRaiseIrqlToDpcLevel(); ExWaitForRundownProtectionRelease(&reference); },
                   "DRIVER_VERIFIER_DETECTED_VIOLATION");
}

}  // namespace
}  // namespace sluice::sim
