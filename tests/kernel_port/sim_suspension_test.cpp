#include "tests/kernel_port/sim_test_support.h"

namespace sluice::sim {
namespace {

struct suspension : testing::Test {
  machine system{{.processors = 2}};

  // A thread that counts, in the state that `enter` brings about, until `leave` is asked for.
  struct counter {
    std::atomic<uint64_t> count{0};
    std::atomic<bool> running{false}, leave{false}, stop{false};
    std::thread host;

    counter(machine& machine_of, std::function<void()> enter, std::function<void()> exit) {
      host = std::thread([this, &machine_of, enter, exit] {
        activity thread(machine_of, 0, 100, 101);
        enter();
        running = true;
        while (!leave) {
          ++count;
          YieldProcessor();
        }
        exit();
        while (!stop) {
          ++count;
          YieldProcessor();
        }
      });
      eventually([this] { return running.load(); });
    }
    ~counter() {
      leave = stop = true;
      host.join();
    }
    bool advances_within(std::chrono::milliseconds time) {
      const uint64_t before = count;
      for (const auto limit = std::chrono::steady_clock::now() + time; count == before;) {
        if (std::chrono::steady_clock::now() > limit) return false;
        std::this_thread::sleep_for(std::chrono::microseconds(100));
      }
      return true;
    }
    // It may have to wait for a processor of the host.
    bool advances() { return advances_within(std::chrono::seconds(60)); }
    // Comes to rest, and stays there.
    bool stands() {
      for (int i = 0; i < 100; ++i) {
        if (!advances_within(std::chrono::milliseconds(30))) return true;
      }
      return false;
    }
  };
};

TEST_F(suspension, stops_a_thread_where_apcs_are_enabled) {
  counter thread(system, [] {}, [] {});
  ASSERT_TRUE(system.suspend_thread(101));
  EXPECT_TRUE(thread.stands());
  ASSERT_TRUE(system.resume_thread(101));
  EXPECT_TRUE(thread.advances());
}

TEST_F(suspension, nests) {
  counter thread(system, [] {}, [] {});
  system.suspend_thread(101);
  system.suspend_thread(101);
  EXPECT_TRUE(thread.stands());
  system.resume_thread(101);
  EXPECT_TRUE(thread.stands());
  system.resume_thread(101);
  EXPECT_TRUE(thread.advances());
}

TEST_F(suspension, waits_for_the_end_of_a_critical_region) {
  counter thread(system, [] { KeEnterCriticalRegion(); }, [] { KeLeaveCriticalRegion(); });
  ASSERT_TRUE(system.suspend_thread(101));
  EXPECT_TRUE(thread.advances()) << "it may hold what others need";
  thread.leave = true;
  EXPECT_TRUE(thread.stands());
  system.resume_thread(101);
  EXPECT_TRUE(thread.advances());
}

TEST_F(suspension, waits_for_the_end_of_a_guarded_region) {
  counter thread(system, [] { KeEnterGuardedRegion(); }, [] { KeLeaveGuardedRegion(); });
  ASSERT_TRUE(system.suspend_thread(101));
  EXPECT_TRUE(thread.advances());
  thread.leave = true;
  EXPECT_TRUE(thread.stands());
  system.resume_thread(101);
}

TEST_F(suspension, waits_for_the_irql_to_drop) {
  for (const KIRQL level : {APC_LEVEL, DISPATCH_LEVEL}) {
    counter thread(system, [level] { KIRQL old; KeRaiseIrql(level, &old); }, [] { KeLowerIrql(PASSIVE_LEVEL); });
    ASSERT_TRUE(system.suspend_thread(101));
    EXPECT_TRUE(thread.advances());
    thread.leave = true;
    EXPECT_TRUE(thread.stands());
    system.resume_thread(101);
    EXPECT_TRUE(thread.advances());
  }
}

TEST_F(suspension, of_a_thread_that_does_not_exist_says_so) {
  EXPECT_FALSE(system.suspend_thread(999));
  EXPECT_FALSE(system.resume_thread(999));
}

// Threads that use the simulation are suspended at random moments; none is caught holding what the others need.
TEST_F(suspension, never_catches_a_thread_inside_the_simulation) {
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> rounds{0};
  std::vector<std::thread> workers;
  for (uint32_t i = 0; i < 2; ++i) {
    workers.emplace_back([&, i] {
      activity thread(system, i, 100 + i, 201 + i);
      KEVENT event;
      KeInitializeEvent(&event, SynchronizationEvent, FALSE);
      while (!stop) {
        void* block = ExAllocatePoolWithTag(NonPagedPool, 64, 'tset');
        KeSetEvent(&event, 0, FALSE);
        KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, nullptr);
        const KIRQL old = KeRaiseIrqlToDpcLevel();
        KeLowerIrql(old);
        ExFreePool(block);
        ++rounds;
      }
    });
  }
  {
    activity thread(system, 0, 300, 301);
    KEVENT event;
    KeInitializeEvent(&event, SynchronizationEvent, FALSE);
    for (int i = 0; i < 200; ++i) {
      const uint32_t tid = 201 + static_cast<uint32_t>(i % 2);
      eventually([&] { return system.suspend_thread(tid); });
      // All that the suspended thread could hold is used here.
      ExFreePool(ExAllocatePoolWithTag(NonPagedPool, 64, 'tset'));
      KeSetEvent(&event, 0, FALSE);
      for (uint32_t cpu = 0; cpu < 2; ++cpu) {
        thread.migrate(cpu);
        const KIRQL old = KeRaiseIrqlToDpcLevel();
        KeLowerIrql(old);
      }
      system.resume_thread(tid);
    }
  }
  stop = true;
  for (std::thread& worker : workers) worker.join();
  EXPECT_GT(rounds, 0u);
}

}  // namespace
}  // namespace sluice::sim
