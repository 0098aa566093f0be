#include "tests/kernel_port/sim_test_support.h"

namespace sluice::sim {
namespace {

struct wait : testing::Test {
  machine system;
  activity thread{system, 0, 100, 101};

  static NTSTATUS for_object(PVOID object, const LARGE_INTEGER* timeout = nullptr) {
    LARGE_INTEGER copy{};
    if (timeout) copy = *timeout;
    return KeWaitForSingleObject(object, Executive, KernelMode, FALSE, timeout ? &copy : nullptr);
  }
  static NTSTATUS poll(PVOID object) {
    LARGE_INTEGER now{};
    return KeWaitForSingleObject(object, Executive, KernelMode, FALSE, &now);
  }
};
using wait_death_test = wait;

TEST_F(wait, a_notification_event_stays_signaled) {
  KEVENT event;
  KeInitializeEvent(&event, NotificationEvent, FALSE);
  EXPECT_EQ(poll(&event), STATUS_TIMEOUT);
  EXPECT_EQ(KeSetEvent(&event, 0, FALSE), 0);
  EXPECT_EQ(KeSetEvent(&event, 0, FALSE), 1);
  EXPECT_EQ(for_object(&event), STATUS_SUCCESS);
  EXPECT_EQ(for_object(&event), STATUS_SUCCESS);
  EXPECT_EQ(KeResetEvent(&event), 1);
  EXPECT_EQ(KeReadStateEvent(&event), 0);
  EXPECT_EQ(poll(&event), STATUS_TIMEOUT);
}

TEST_F(wait, a_synchronization_event_lets_one_waiter_through) {
  KEVENT event;
  KeInitializeEvent(&event, SynchronizationEvent, TRUE);
  EXPECT_EQ(for_object(&event), STATUS_SUCCESS);
  EXPECT_EQ(poll(&event), STATUS_TIMEOUT);
}

TEST_F(wait, a_signal_wakes_a_blocked_thread) {
  KEVENT go, gone;
  KeInitializeEvent(&go, SynchronizationEvent, FALSE);
  KeInitializeEvent(&gone, NotificationEvent, FALSE);
  std::thread other([&] {
    activity waiting(system, 1, 200, 201);
    EXPECT_EQ(for_object(&go), STATUS_SUCCESS);
    KeSetEvent(&gone, 0, FALSE);
  });
  const KIRQL old = KeRaiseIrqlToDpcLevel();
  KeSetEvent(&go, 0, FALSE);  // allowed at DISPATCH_LEVEL
  KeLowerIrql(old);
  EXPECT_EQ(for_object(&gone), STATUS_SUCCESS);
  other.join();
}

TEST_F(wait, each_signal_of_a_synchronization_event_is_received_once) {
  KEVENT event;
  KeInitializeEvent(&event, SynchronizationEvent, FALSE);
  constexpr int each = 300, waiters = 3;
  std::atomic<int> received{0};
  std::vector<std::thread> others;
  for (uint32_t i = 0; i < waiters; ++i) {
    others.emplace_back([&, i] {
      activity waiting(system, i % 2, 200 + i, 300 + i);
      for (int n = 0; n < each; ++n) {
        EXPECT_EQ(for_object(&event), STATUS_SUCCESS);
        ++received;
      }
    });
  }
  int sent = 0;
  while (sent < each * waiters) {
    // Set only when the last signal was taken, so that none coincides with another.
    if (KeReadStateEvent(&event) == 0 && received.load() == sent) {
      KeSetEvent(&event, 0, FALSE);
      ++sent;
    } else {
      std::this_thread::yield();
    }
  }
  for (std::thread& other : others) other.join();
  EXPECT_EQ(received, sent);
}

TEST_F(wait, a_timeout_is_a_success_code_that_says_timeout) {
  KEVENT event;
  KeInitializeEvent(&event, NotificationEvent, FALSE);
  const LARGE_INTEGER soon = milliseconds(5);
  const NTSTATUS status = for_object(&event, &soon);
  EXPECT_EQ(status, STATUS_TIMEOUT);
  EXPECT_TRUE(NT_SUCCESS(status));
}

TEST_F(wait, an_absolute_time_in_the_past_times_out_at_once) {
  KEVENT event;
  KeInitializeEvent(&event, NotificationEvent, FALSE);
  LARGE_INTEGER past;
  past.QuadPart = 1;
  EXPECT_EQ(for_object(&event, &past), STATUS_TIMEOUT);
}

TEST_F(wait, any_of_several_says_which) {
  KEVENT first, second;
  KeInitializeEvent(&first, NotificationEvent, FALSE);
  KeInitializeEvent(&second, NotificationEvent, TRUE);
  PVOID objects[] = {&first, &second};
  EXPECT_EQ(KeWaitForMultipleObjects(2, objects, WaitAny, Executive, KernelMode, FALSE, nullptr, nullptr),
            STATUS_WAIT_0 + 1);
}

TEST_F(wait, all_of_several_takes_none_until_all_are_there) {
  KEVENT first, second;
  KeInitializeEvent(&first, SynchronizationEvent, TRUE);
  KeInitializeEvent(&second, SynchronizationEvent, FALSE);
  PVOID objects[] = {&first, &second};
  LARGE_INTEGER soon = milliseconds(5);
  EXPECT_EQ(KeWaitForMultipleObjects(2, objects, WaitAll, Executive, KernelMode, FALSE, &soon, nullptr), STATUS_TIMEOUT);
  EXPECT_EQ(KeReadStateEvent(&first), 1);
  std::thread other([&] {
    activity signaling(system, 1, 200, 201);
    KeSetEvent(&second, 0, FALSE);
  });
  EXPECT_EQ(KeWaitForMultipleObjects(2, objects, WaitAll, Executive, KernelMode, FALSE, nullptr, nullptr),
            STATUS_SUCCESS);
  EXPECT_EQ(KeReadStateEvent(&first), 0);
  other.join();
}

TEST_F(wait, a_semaphore_counts) {
  KSEMAPHORE semaphore;
  KeInitializeSemaphore(&semaphore, 2, 3);
  EXPECT_EQ(poll(&semaphore), STATUS_SUCCESS);
  EXPECT_EQ(poll(&semaphore), STATUS_SUCCESS);
  EXPECT_EQ(poll(&semaphore), STATUS_TIMEOUT);
  EXPECT_EQ(KeReleaseSemaphore(&semaphore, 0, 1, FALSE), 0);
  EXPECT_EQ(KeReadStateSemaphore(&semaphore), 1);
}

TEST_F(wait, a_mutex_is_recursive_and_disables_normal_apcs) {
  KMUTEX mutex;
  KeInitializeMutex(&mutex, 0);
  EXPECT_EQ(for_object(&mutex), STATUS_SUCCESS);
  EXPECT_EQ(for_object(&mutex), STATUS_SUCCESS);
  EXPECT_TRUE(KeAreApcsDisabled());
  std::thread other([&] {
    activity waiting(system, 1, 200, 201);
    EXPECT_EQ(poll(&mutex), STATUS_TIMEOUT);
  });
  other.join();
  KeReleaseMutex(&mutex, FALSE);
  EXPECT_TRUE(KeAreApcsDisabled());
  KeReleaseMutex(&mutex, FALSE);
  EXPECT_FALSE(KeAreApcsDisabled());
}

TEST_F(wait, a_fast_mutex_excludes_and_raises_to_apc_level) {
  FAST_MUTEX mutex;
  ExInitializeFastMutex(&mutex);
  uint64_t plain = 0;
  std::vector<std::thread> others;
  for (uint32_t i = 0; i < 3; ++i) {
    others.emplace_back([&, i] {
      activity thread_of_pool(system, i % 2, 200 + i, 300 + i);
      for (int n = 0; n < 2'000; ++n) {
        ExAcquireFastMutex(&mutex);
        ++plain;
        ExReleaseFastMutex(&mutex);
      }
    });
  }
  for (std::thread& other : others) other.join();
  EXPECT_EQ(plain, 6'000u);
  ExAcquireFastMutex(&mutex);
  EXPECT_EQ(KeGetCurrentIrql(), APC_LEVEL);
  ExReleaseFastMutex(&mutex);
  EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
  EXPECT_TRUE(ExTryToAcquireFastMutex(&mutex));
  ExReleaseFastMutex(&mutex);
}

TEST_F(wait, a_poll_is_allowed_at_dispatch_level) {
  KEVENT event;
  KeInitializeEvent(&event, NotificationEvent, TRUE);
  const KIRQL old = KeRaiseIrqlToDpcLevel();
  EXPECT_EQ(poll(&event), STATUS_SUCCESS);
  KeLowerIrql(old);
}

TEST_F(wait_death_test, blocking_at_dispatch_level_is_a_bug_check) {
  KEVENT event;
  KeInitializeEvent(&event, NotificationEvent, TRUE);
  EXPECT_DEATH({ KeRaiseIrqlToDpcLevel(); for_object(&event); }, "STOP: 0x000000C4 \\(0x0+121,");
  const LARGE_INTEGER soon = milliseconds(5);
  EXPECT_DEATH({ KeRaiseIrqlToDpcLevel(); for_object(&event, &soon); }, "STOP: 0x000000C4 \\(0x0+122,");
  EXPECT_DEATH({ KeRaiseIrqlToDpcLevel(); LARGE_INTEGER time = soon; KeDelayExecutionThread(KernelMode, FALSE, &time); },
               "STOP: 0x000000C4");
}

TEST_F(wait_death_test, what_was_never_initialized_cannot_be_waited_for) {
  KEVENT garbage;
  memset(&garbage, 0xcd, sizeof(garbage));
  EXPECT_BUG_CHECK_SAYING(for_object(&garbage), "DRIVER_VERIFIER_DETECTED_VIOLATION", "never initialized");
}

TEST_F(wait_death_test, a_fast_mutex_is_not_recursive_and_not_for_dispatch_level) {
  FAST_MUTEX mutex;
  ExInitializeFastMutex(&mutex);
  EXPECT_DEATH({ ExAcquireFastMutex(&mutex); ExAcquireFastMutex(&mutex); }, "STOP: 0x000000C4 \\(0x0+1000,");
  EXPECT_DEATH({ KeRaiseIrqlToDpcLevel(); ExAcquireFastMutex(&mutex); }, "STOP: 0x000000C4 \\(0x0+33,");
  EXPECT_DEATH(ExReleaseFastMutex(&mutex), "STOP: 0x000000C4 \\(0x0+34,");
}

TEST_F(wait_death_test, a_mutex_is_released_by_its_owner) {
  KMUTEX mutex;
  KeInitializeMutex(&mutex, 0);
  EXPECT_DEATH(KeReleaseMutex(&mutex, FALSE), "STOP: 0x000000C4 \\(0x0+1004,");
}

TEST_F(wait_death_test, an_event_is_not_set_above_dispatch_level) {
  KEVENT event;
  KeInitializeEvent(&event, NotificationEvent, FALSE);
  EXPECT_DEATH({ KIRQL old; KeRaiseIrql(HIGH_LEVEL, &old); KeSetEvent(&event, 0, FALSE); },
               "STOP: 0x000000C4 \\(0x0+80,");
}

}  // namespace
}  // namespace sluice::sim
