#include <semaphore>
#include <thread>

#include "tests/kernel_port/sim_test_support.h"

namespace sluice::sim {
namespace {

struct process : testing::Test {
  machine system;
  activity thread{system, 0, 100, 101};
};

TEST_F(process, is_found_by_its_id_while_it_lives) {
  ASSERT_EQ(create_process({.pid = 200, .parent_pid = 100}), STATUS_SUCCESS);
  EXPECT_EQ(create_process({.pid = 200, .parent_pid = 100}), STATUS_INVALID_CID) << "the id is in use";
  PEPROCESS found;
  ASSERT_EQ(PsLookupProcessByProcessId(id(200), &found), STATUS_SUCCESS);
  EXPECT_EQ(PsGetProcessId(found), id(200));
  EXPECT_EQ(PsGetProcessInheritedFromUniqueProcessId(found), id(100));
  EXPECT_EQ(PsGetProcessExitStatus(found), STATUS_PENDING);
  EXPECT_EQ(exit_process(200, 7), STATUS_SUCCESS);
  EXPECT_EQ(PsGetProcessExitStatus(found), 7) << "a reference keeps the object";
  LARGE_INTEGER now{};
  EXPECT_EQ(KeWaitForSingleObject(found, Executive, KernelMode, FALSE, &now), STATUS_SUCCESS) << "and it is signaled";
  ObDereferenceObject(found);
  EXPECT_EQ(PsLookupProcessByProcessId(id(200), &found), STATUS_INVALID_CID);
  EXPECT_EQ(exit_process(200, 7), STATUS_INVALID_CID);
}

int ends = 0;
VOID NTAPI count_process_end(HANDLE, HANDLE, BOOLEAN create) { ends += !create; }
VOID NTAPI count_thread_end(HANDLE, HANDLE, BOOLEAN create) { ends += !create; }

TEST_F(process, that_is_forgotten_raises_nothing_and_leaves_its_ids_to_others) {
  ASSERT_EQ(create_process({.pid = 200, .parent_pid = 100}), STATUS_SUCCESS);
  ASSERT_EQ(create_thread(200, 204, 0), STATUS_SUCCESS);
  ASSERT_EQ(create_thread(200, 208, 0), STATUS_SUCCESS);
  PEPROCESS found;
  ASSERT_EQ(PsLookupProcessByProcessId(id(200), &found), STATUS_SUCCESS);
  ends = 0;
  ASSERT_EQ(PsSetCreateProcessNotifyRoutine(&count_process_end, FALSE), STATUS_SUCCESS);
  ASSERT_EQ(PsSetCreateThreadNotifyRoutine(&count_thread_end), STATUS_SUCCESS);
  EXPECT_EQ(forget_thread(208), STATUS_SUCCESS);
  EXPECT_EQ(forget_thread(208), STATUS_INVALID_CID);
  EXPECT_EQ(forget_process(200), STATUS_SUCCESS);
  EXPECT_EQ(forget_process(200), STATUS_INVALID_CID);
  EXPECT_EQ(ends, 0);
  EXPECT_EQ(PsGetProcessId(found), id(200)) << "a reference keeps the object";
  ObDereferenceObject(found);
  EXPECT_EQ(exit_process(200, 0), STATUS_INVALID_CID);
  EXPECT_EQ(create_process({.pid = 200, .parent_pid = 100}), STATUS_SUCCESS);
  EXPECT_EQ(create_thread(200, 204, 0), STATUS_SUCCESS);
  EXPECT_EQ(exit_process(200, 0), STATUS_SUCCESS);
  EXPECT_EQ(ends, 2) << "its thread and itself";
  EXPECT_EQ(PsSetCreateProcessNotifyRoutine(&count_process_end, TRUE), STATUS_SUCCESS);
  EXPECT_EQ(PsRemoveCreateThreadNotifyRoutine(&count_thread_end), STATUS_SUCCESS);
}

TEST_F(process, start_keys_are_unique_where_ids_are_reused) {
  const auto start_key = SYSTEM_ROUTINE(PsGetProcessStartKey);
  std::vector<ULONGLONG> keys;
  for (int i = 0; i < 3; ++i) {
    create_process({.pid = 200, .parent_pid = 100});
    PEPROCESS found;
    PsLookupProcessByProcessId(id(200), &found);
    keys.push_back(start_key(found));
    ObDereferenceObject(found);
    exit_process(200, 0);
  }
  EXPECT_LT(keys[0], keys[1]);
  EXPECT_LT(keys[1], keys[2]);
}

TEST_F(process, its_threads_are_found_and_say_where_they_start) {
  create_process({.pid = 200, .parent_pid = 100});
  ASSERT_EQ(create_thread(200, 201, 0x7ff612340000), STATUS_SUCCESS);
  EXPECT_EQ(create_thread(200, 201, 0), STATUS_INVALID_CID);
  EXPECT_EQ(create_thread(999, 998, 0), STATUS_INVALID_CID);
  PETHREAD found;
  ASSERT_EQ(PsLookupThreadByThreadId(id(201), &found), STATUS_SUCCESS);
  EXPECT_EQ(PsGetThreadProcessId(found), id(200));
  HANDLE handle;
  ObOpenObjectByPointer(found, OBJ_KERNEL_HANDLE, nullptr, THREAD_QUERY_INFORMATION, *PsThreadType, KernelMode, &handle);
  uint64_t start = 0;
  ULONG length = 0;
  EXPECT_EQ(ZwQueryInformationThread(handle, ThreadQuerySetWin32StartAddress, &start, sizeof(start), &length),
            STATUS_SUCCESS);
  EXPECT_EQ(start, 0x7ff612340000u);
  EXPECT_EQ(length, 8u);
  EXPECT_EQ(ZwQueryInformationThread(handle, ThreadQuerySetWin32StartAddress, &start, 4, nullptr),
            STATUS_INFO_LENGTH_MISMATCH);
  ZwClose(handle);
  ObDereferenceObject(found);
  EXPECT_EQ(exit_thread(200, 201), STATUS_SUCCESS);
  EXPECT_EQ(exit_thread(200, 201), STATUS_INVALID_CID);
  exit_process(200, 0);
}

TEST_F(process, the_current_one_is_what_the_activity_says) {
  EXPECT_EQ(PsGetCurrentProcessId(), id(100));
  EXPECT_EQ(PsGetCurrentThreadId(), id(101));
  EXPECT_EQ(PsGetProcessId(PsGetCurrentProcess()), id(100));
  EXPECT_EQ(PsGetThreadId(PsGetCurrentThread()), id(101));
  EXPECT_FALSE(PsIsSystemThread(PsGetCurrentThread()));
  create_process({.pid = 300, .parent_pid = 100});
  thread.become(0, 300, 301);
  PEPROCESS found;
  PsLookupProcessByProcessId(id(300), &found);
  EXPECT_EQ(PsGetCurrentProcess(), found);
  ObDereferenceObject(found);
  thread.become(0, 100, 101);
  exit_process(300, 0);
}

// A process that nobody created is there as long as somebody runs in it: whoever leaves does not take it along.
TEST_F(process, that_was_never_created_is_not_taken_along_by_another_of_its_threads) {
  std::binary_semaphore entered{0}, left{0};
  std::thread stays([&] {
    activity here(system, 1, 300, 301);
    PEPROCESS const mine = PsGetCurrentProcess();
    entered.release();
    left.acquire();
    EXPECT_NE(PsGetCurrentThread(), nullptr);
    EXPECT_EQ(PsGetCurrentProcess(), mine);
    PEPROCESS found = nullptr;
    ASSERT_EQ(PsLookupProcessByProcessId(id(300), &found), STATUS_SUCCESS);
    EXPECT_EQ(found, mine);
    ObDereferenceObject(found);
  });
  entered.acquire();
  std::thread leaves([&] {
    activity here(system, 0, 300, 302);
    EXPECT_NE(PsGetCurrentThread(), nullptr);
  });
  leaves.join();
  left.release();
  stays.join();
  PEPROCESS found = nullptr;
  EXPECT_EQ(PsLookupProcessByProcessId(id(300), &found), STATUS_INVALID_CID) << "and nobody is left";
}

TEST_F(process, what_ran_before_is_registered_without_a_callback) {
  EXPECT_EQ(add_existing_process({.pid = 500, .parent_pid = 1}), STATUS_SUCCESS);
  EXPECT_EQ(add_existing_process({.pid = 500, .parent_pid = 1}), STATUS_INVALID_CID);
  EXPECT_EQ(add_existing_thread(500, 501), STATUS_SUCCESS);
  EXPECT_EQ(add_existing_thread(501, 502), STATUS_INVALID_CID);
  EXPECT_EQ(create_thread(500, 503, 0), STATUS_SUCCESS);
  EXPECT_EQ(exit_process(500, 0), STATUS_SUCCESS);
}

}  // namespace
}  // namespace sluice::sim
