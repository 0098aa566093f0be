#include "tests/kernel_port/sim_test_support.h"

namespace sluice::sim {
namespace {

struct paged_memory : testing::Test {
  machine system{{.processors = 2}};
  activity thread{system, 0, 100, 101};
  volatile char* block = static_cast<volatile char*>(ExAllocatePoolWithTag(PagedPool, 100, 'tset'));
  ~paged_memory() override { ExFreePool(const_cast<char*>(block)); }
};
using paged_memory_death_test = paged_memory;

TEST_F(paged_memory, is_checked_by_one_of_the_mechanisms) {
  EXPECT_NE(system.paged_check_in_use(), machine::paged_check::off);
}

TEST_F(paged_memory, keeps_its_contents_across_sections_at_dispatch_level) {
  for (int round = 0; round < 200; ++round) {
    block[round % 100] = static_cast<char>(round);
    const KIRQL old = KeRaiseIrqlToDpcLevel();
    KeLowerIrql(old);
    ASSERT_EQ(block[round % 100], static_cast<char>(round));
  }
}

TEST_F(paged_memory, may_be_touched_at_apc_level) {
  KIRQL old;
  KeRaiseIrql(APC_LEVEL, &old);
  block[0] = 7;
  EXPECT_EQ(block[0], 7);
  KeLowerIrql(old);
}

// Threads that page and threads that raise must both make progress.
TEST_F(paged_memory, is_usable_while_other_threads_raise) {
  std::atomic<bool> stop{false};
  std::thread raiser([&] {
    activity other(system, 1, 200, 201);
    while (!stop) {
      const KIRQL old = KeRaiseIrqlToDpcLevel();
      KeLowerIrql(old);
    }
  });
  for (int round = 0; round < 5'000; ++round) {
    block[round % 100] = static_cast<char>(round);
    ASSERT_EQ(block[round % 100], static_cast<char>(round));
  }
  stop = true;
  raiser.join();
}

TEST_F(paged_memory_death_test, a_read_at_dispatch_level_is_a_bug_check) {
  EXPECT_DEATH({ block[5] = 1; KeRaiseIrqlToDpcLevel(); (void)block[5]; },
               "STOP: 0x000000D1 \\(0x[0-9A-F]+, 0x0+2, 0x0+, 0x[0-9A-F]+\\)(.|\n)*DRIVER_IRQL_NOT_LESS_OR_EQUAL\n.*read");
}

TEST_F(paged_memory_death_test, a_write_at_dispatch_level_is_a_bug_check) {
  EXPECT_DEATH({ KeRaiseIrqlToDpcLevel(); block[5] = 1; },
               "STOP: 0x000000D1 \\(0x[0-9A-F]+, 0x0+2, 0x0+1, 0x[0-9A-F]+\\)(.|\n)*written");
}

TEST_F(paged_memory_death_test, a_dpc_may_not_touch_it) {
  static volatile char* target;
  target = block;
  KDPC dpc;
  KeInitializeDpc(&dpc, [](PKDPC, PVOID, PVOID, PVOID) { target[0] = 1; }, nullptr);
  EXPECT_BUG_CHECK({ block[0] = 1; KeInsertQueueDpc(&dpc, nullptr, nullptr); }, "DRIVER_IRQL_NOT_LESS_OR_EQUAL");
}

TEST_F(paged_memory_death_test, the_strings_of_a_callback_are_paged) {
  const auto routine = +[](PEPROCESS, HANDLE, PPS_CREATE_NOTIFY_INFO info) {
    if (!info) return;
    const volatile WCHAR first = info->ImageFileName->Buffer[0];
    (void)first;
    KIRQL old = KeRaiseIrqlToDpcLevel();
    const volatile WCHAR again = info->ImageFileName->Buffer[0];
    (void)again;
    KeLowerIrql(old);
  };
  const auto set = SYSTEM_ROUTINE(PsSetCreateProcessNotifyRoutineEx);
  EXPECT_BUG_CHECK({ set(routine, FALSE); create_process({.pid = 200, .image_path = u"\\a.exe"}); },
                   "DRIVER_IRQL_NOT_LESS_OR_EQUAL");
}

TEST_F(paged_memory_death_test, a_wild_pointer_is_not_taken_for_paged_memory) {
  EXPECT_DEATH(*reinterpret_cast<volatile int*>(8) = 1, "");
}

TEST(paged_memory_unchecked, can_be_touched_anywhere) {
  machine system({.check_paged_access = false});
  activity thread(system, 0, 100, 101);
  EXPECT_EQ(system.paged_check_in_use(), machine::paged_check::off);
  auto* block = static_cast<char*>(ExAllocatePoolWithTag(PagedPool, 100, 'tset'));
  const KIRQL old = KeRaiseIrqlToDpcLevel();
  block[0] = 1;
  KeLowerIrql(old);
  ExFreePool(block);
}

}  // namespace
}  // namespace sluice::sim
