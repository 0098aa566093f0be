#include "tests/kernel_port/sim_test_support.h"

namespace sluice::sim {
namespace {

// What the routines saw; they have no context argument.
struct sighting {
  HANDLE pid = nullptr, tid_or_parent = nullptr, context_pid = nullptr, context_tid = nullptr;
  bool create = false, apcs_disabled = false;
  KIRQL irql = 0xff;
  std::u16string text;
};
std::vector<sighting> seen;

sighting here(HANDLE pid, HANDLE other, bool create) {
  sighting now;
  now.pid = pid;
  now.tid_or_parent = other;
  now.create = create;
  now.context_pid = PsGetCurrentProcessId();
  now.context_tid = PsGetCurrentThreadId();
  now.apcs_disabled = KeAreApcsDisabled();
  now.irql = KeGetCurrentIrql();
  return now;
}

std::u16string text_of(PCUNICODE_STRING string) {
  return string ? std::u16string(reinterpret_cast<const char16_t*>(string->Buffer), string->Length / 2) : u"(none)";
}

VOID on_process_plain(HANDLE parent, HANDLE pid, BOOLEAN create) { seen.push_back(here(pid, parent, create)); }

VOID on_process(PEPROCESS process, HANDLE pid, PPS_CREATE_NOTIFY_INFO info) {
  sighting now = here(pid, info ? info->ParentProcessId : nullptr, info != nullptr);
  EXPECT_EQ(PsGetProcessId(process), pid);
  if (info) now.text = text_of(info->ImageFileName) + u"|" + text_of(info->CommandLine);
  seen.push_back(now);
}

VOID on_thread(HANDLE pid, HANDLE tid, BOOLEAN create) { seen.push_back(here(pid, tid, create)); }

VOID on_image(PUNICODE_STRING name, HANDLE pid, PIMAGE_INFO info) {
  sighting now = here(pid, nullptr, true);
  now.text = text_of(name);
  EXPECT_TRUE(info->ExtendedInfoPresent);
  const auto* extended = CONTAINING_RECORD(info, IMAGE_INFO_EX, ImageInfo);
  EXPECT_EQ(extended->Size, sizeof(IMAGE_INFO_EX));
  EXPECT_NE(extended->FileObject, nullptr);
  seen.push_back(now);
}

struct notify : testing::Test {
  machine system;
  activity thread{system, 0, 100, 101};
  notify() { seen.clear(); }
};
using notify_death_test = notify;

TEST_F(notify, a_process_routine_runs_in_the_creator_in_a_critical_region) {
  const auto set = SYSTEM_ROUTINE(PsSetCreateProcessNotifyRoutineEx2);
  ASSERT_EQ(set(PsCreateProcessNotifySubsystems, reinterpret_cast<PVOID>(on_process), FALSE), STATUS_SUCCESS);
  EXPECT_EQ(create_process({.pid = 200, .parent_pid = 50, .image_path = u"\\a.exe", .command_line = u"a b"}),
            STATUS_SUCCESS);
  exit_process(200, 3);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].pid, id(200));
  EXPECT_EQ(seen[0].tid_or_parent, id(50)) << "the parent may differ from the creator";
  EXPECT_EQ(seen[0].context_pid, id(100));
  EXPECT_EQ(seen[0].context_tid, id(101));
  EXPECT_EQ(seen[0].text, u"\\a.exe|a b");
  EXPECT_EQ(seen[0].irql, PASSIVE_LEVEL);
  EXPECT_TRUE(seen[0].apcs_disabled);
  EXPECT_FALSE(seen[1].create);
  EXPECT_EQ(raised().process_create, 1u);
  EXPECT_EQ(raised().process_exit, 1u);
  EXPECT_EQ(set(PsCreateProcessNotifySubsystems, reinterpret_cast<PVOID>(on_process), TRUE), STATUS_SUCCESS);
  create_process({.pid = 201, .parent_pid = 100});
  EXPECT_EQ(raised().process_create, 1u) << "nothing is raised for nobody";
}

TEST_F(notify, names_may_be_missing) {
  const auto set = SYSTEM_ROUTINE(PsSetCreateProcessNotifyRoutineEx);
  set(on_process, FALSE);
  create_process({.pid = 200, .parent_pid = 100});
  EXPECT_EQ(seen.at(0).text, u"(none)|(none)");
  set(on_process, TRUE);
}

TEST_F(notify, a_process_routine_may_deny) {
  const auto set = SYSTEM_ROUTINE(PsSetCreateProcessNotifyRoutineEx);
  const auto deny = +[](PEPROCESS, HANDLE, PPS_CREATE_NOTIFY_INFO info) {
    if (info) info->CreationStatus = STATUS_ACCESS_DENIED;
  };
  set(deny, FALSE);
  EXPECT_EQ(create_process({.pid = 200, .parent_pid = 100}), STATUS_ACCESS_DENIED);
  EXPECT_EQ(create_thread(200, 201, 0), STATUS_INVALID_CID) << "it does not exist";
  set(deny, TRUE);
}

TEST_F(notify, only_the_newest_form_sees_subsystem_processes) {
  PsSetCreateProcessNotifyRoutine(on_process_plain, FALSE);
  SYSTEM_ROUTINE(PsSetCreateProcessNotifyRoutineEx)(on_process, FALSE);
  create_process({.pid = 200, .parent_pid = 100, .subsystem_process = true});
  EXPECT_TRUE(seen.empty());
  create_process({.pid = 201, .parent_pid = 100});
  EXPECT_EQ(seen.size(), 2u) << "each registered routine is called";
  PsSetCreateProcessNotifyRoutine(on_process_plain, TRUE);
  SYSTEM_ROUTINE(PsSetCreateProcessNotifyRoutineEx)(on_process, TRUE);
}

TEST_F(notify, a_plain_thread_routine_runs_in_the_creator_with_apcs_enabled) {
  PsSetCreateThreadNotifyRoutine(on_thread);
  create_process({.pid = 200, .parent_pid = 100});
  create_thread(200, 201, 0x1000);
  exit_process(200, 0);
  ASSERT_EQ(seen.size(), 2u) << "the exit of a process ends its threads";
  EXPECT_EQ(seen[0].tid_or_parent, id(201));
  EXPECT_EQ(seen[0].context_tid, id(101));
  EXPECT_FALSE(seen[0].apcs_disabled);
  EXPECT_FALSE(seen[1].create);
  PsRemoveCreateThreadNotifyRoutine(on_thread);
}

TEST_F(notify, the_nonsystem_form_runs_in_the_new_thread) {
  SYSTEM_ROUTINE(PsSetCreateThreadNotifyRoutineEx)(PsCreateThreadNotifyNonSystem, reinterpret_cast<PVOID>(on_thread));
  create_process({.pid = 200, .parent_pid = 100});
  create_thread(200, 201, 0x1000);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].context_pid, id(200));
  EXPECT_EQ(seen[0].context_tid, id(201));
  EXPECT_EQ(PsGetCurrentThreadId(), id(101)) << "and the creator is itself again";
  exit_thread(200, 201);
  PsRemoveCreateThreadNotifyRoutine(on_thread);
}

TEST_F(notify, system_threads_are_threads_too) {
  PsSetCreateThreadNotifyRoutine(on_thread);
  HANDLE handle;
  PVOID object;
  PsCreateSystemThread(&handle, 0, nullptr, nullptr, nullptr, [](PVOID) {}, nullptr);
  ObReferenceObjectByHandle(handle, 0, *PsThreadType, KernelMode, &object, nullptr);
  KeWaitForSingleObject(object, Executive, KernelMode, FALSE, nullptr);
  EXPECT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen.at(0).pid, id(4));
  ObDereferenceObject(object);
  ZwClose(handle);
  PsRemoveCreateThreadNotifyRoutine(on_thread);
}

TEST_F(notify, an_image_routine_gets_the_extended_information) {
  PsSetLoadImageNotifyRoutine(on_image);
  load_image({.pid = 100, .base = 0x10000, .size = 0x2000, .path = u"\\a.dll"});
  load_image({.pid = 0, .base = 0x20000, .size = 0x2000, .system_mode = true});
  load_image({.pid = 100, .machine_mismatch = true, .path = u"\\other.dll"});
  ASSERT_EQ(seen.size(), 2u) << "a conflicting architecture is reported on request only";
  EXPECT_EQ(seen[0].text, u"\\a.dll");
  EXPECT_TRUE(seen[0].apcs_disabled);
  EXPECT_EQ(seen[1].text, u"(none)");
  EXPECT_EQ(seen[1].pid, nullptr);
  PsRemoveLoadImageNotifyRoutine(on_image);
  SYSTEM_ROUTINE(PsSetLoadImageNotifyRoutineEx)(on_image, PS_IMAGE_NOTIFY_CONFLICTING_ARCHITECTURE);
  load_image({.pid = 100, .machine_mismatch = true, .path = u"\\other.dll"});
  EXPECT_EQ(seen.size(), 3u);
  PsRemoveLoadImageNotifyRoutine(on_image);
  EXPECT_EQ(raised().image_load, 3u);
}

std::atomic<int> last_called;
template <int n>
VOID distinct_process(HANDLE, HANDLE, BOOLEAN) {
  last_called = n;
}
template <int... n>
std::vector<PCREATE_PROCESS_NOTIFY_ROUTINE> distinct(std::integer_sequence<int, n...>) {
  return {distinct_process<n>...};
}

TEST_F(notify, process_routines_are_limited_and_not_registered_twice) {
  const auto routines = distinct(std::make_integer_sequence<int, 65>());
  for (size_t i = 0; i < 64; ++i) ASSERT_EQ(PsSetCreateProcessNotifyRoutine(routines[i], FALSE), STATUS_SUCCESS);
  EXPECT_EQ(PsSetCreateProcessNotifyRoutine(routines[64], FALSE), STATUS_INVALID_PARAMETER) << "full";
  EXPECT_EQ(system.in_use().notify_routines, 64u);
  EXPECT_EQ(PsSetCreateProcessNotifyRoutine(routines[64], TRUE), STATUS_PROCEDURE_NOT_FOUND);
  EXPECT_EQ(PsSetCreateProcessNotifyRoutine(routines[63], TRUE), STATUS_SUCCESS);
  EXPECT_EQ(PsSetCreateProcessNotifyRoutine(routines[0], FALSE), STATUS_INVALID_PARAMETER) << "twice";
  for (size_t i = 0; i < 63; ++i) PsSetCreateProcessNotifyRoutine(routines[i], TRUE);
}

TEST_F(notify, thread_and_image_routines_are_limited) {
  for (int i = 0; i < 64; ++i) ASSERT_EQ(PsSetCreateThreadNotifyRoutine(on_thread), STATUS_SUCCESS);
  EXPECT_EQ(PsSetCreateThreadNotifyRoutine(on_thread), STATUS_INSUFFICIENT_RESOURCES);
  for (int i = 0; i < 64; ++i) EXPECT_EQ(PsRemoveCreateThreadNotifyRoutine(on_thread), STATUS_SUCCESS);
  EXPECT_EQ(PsRemoveCreateThreadNotifyRoutine(on_thread), STATUS_PROCEDURE_NOT_FOUND);
  for (int i = 0; i < 64; ++i) ASSERT_EQ(PsSetLoadImageNotifyRoutine(on_image), STATUS_SUCCESS);
  EXPECT_EQ(PsSetLoadImageNotifyRoutine(on_image), STATUS_INSUFFICIENT_RESOURCES);
  for (int i = 0; i < 64; ++i) EXPECT_EQ(PsRemoveLoadImageNotifyRoutine(on_image), STATUS_SUCCESS);
}

TEST(notify_levels, older_kernels_have_eight_slots) {
  machine system({.level = kernel_level::windows8});
  activity thread(system, 0, 100, 101);
  for (int i = 0; i < 8; ++i) ASSERT_EQ(PsSetLoadImageNotifyRoutine(on_image), STATUS_SUCCESS);
  EXPECT_EQ(PsSetLoadImageNotifyRoutine(on_image), STATUS_INSUFFICIENT_RESOURCES);
  for (int i = 0; i < 8; ++i) PsRemoveLoadImageNotifyRoutine(on_image);
}

TEST(notify_levels, the_extended_form_needs_an_integrity_checked_image) {
  machine system({.integrity_checked_images = false});
  activity thread(system, 0, 100, 101);
  EXPECT_EQ(SYSTEM_ROUTINE(PsSetCreateProcessNotifyRoutineEx)(on_process, FALSE), STATUS_ACCESS_DENIED);
  EXPECT_EQ(SYSTEM_ROUTINE(PsSetCreateProcessNotifyRoutineEx2)(PsCreateProcessNotifySubsystems,
                                                              reinterpret_cast<PVOID>(on_process), FALSE),
            STATUS_ACCESS_DENIED);
  EXPECT_EQ(PsSetCreateProcessNotifyRoutine(on_process_plain, FALSE), STATUS_SUCCESS);
  PsSetCreateProcessNotifyRoutine(on_process_plain, TRUE);
}

TEST_F(notify, the_nth_registration_fails_when_told) {
  system.fail_call(machine::failure::notify_registration, 2);
  EXPECT_EQ(PsSetCreateThreadNotifyRoutine(on_thread), STATUS_SUCCESS);
  EXPECT_EQ(PsSetLoadImageNotifyRoutine(on_image), STATUS_INSUFFICIENT_RESOURCES);
  PsRemoveCreateThreadNotifyRoutine(on_thread);
}

std::atomic<bool> routine_entered, routine_may_leave, routine_left;
VOID slow_routine(HANDLE, HANDLE, BOOLEAN) {
  routine_entered = true;
  eventually([] { return routine_may_leave.load(); });
  routine_left = true;
}

TEST_F(notify, removal_waits_for_running_routines) {
  routine_entered = routine_may_leave = routine_left = false;
  create_process({.pid = 200, .parent_pid = 100});
  PsSetCreateThreadNotifyRoutine(slow_routine);
  std::thread creator([&] {
    activity other(system, 1, 200, 202);
    create_thread(200, 201, 0);
  });
  eventually([] { return routine_entered.load(); });
  std::thread helper([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_FALSE(routine_left);
    routine_may_leave = true;
  });
  EXPECT_EQ(PsRemoveCreateThreadNotifyRoutine(slow_routine), STATUS_SUCCESS);
  EXPECT_TRUE(routine_left);
  creator.join();
  helper.join();
}

std::atomic<bool> registered;
std::atomic<uint64_t> calls_after_removal;
VOID watched_routine(HANDLE, HANDLE, BOOLEAN) {
  if (!registered) ++calls_after_removal;
}

TEST_F(notify, no_routine_runs_after_its_removal) {
  calls_after_removal = 0;
  std::atomic<bool> stop{false};
  std::thread creator([&] {
    activity other(system, 1, 300, 301);
    add_existing_process({.pid = 300, .parent_pid = 1});
    while (!stop) {
      create_thread(300, 302, 0);
      exit_thread(300, 302);
    }
  });
  for (int i = 0; i < 300; ++i) {
    registered = true;
    PsSetCreateThreadNotifyRoutine(watched_routine);
    PsRemoveCreateThreadNotifyRoutine(watched_routine);
    registered = false;
  }
  stop = true;
  creator.join();
  EXPECT_EQ(calls_after_removal, 0u);
}

VOID removes_itself(HANDLE, HANDLE, BOOLEAN) { PsRemoveCreateThreadNotifyRoutine(removes_itself); }
VOID returns_raised(HANDLE, HANDLE, BOOLEAN) { KeRaiseIrqlToDpcLevel(); }
VOID leaves_region_open(HANDLE, HANDLE, BOOLEAN) { KeEnterCriticalRegion(); }

TEST_F(notify_death_test, a_routine_that_removes_itself_waits_for_ever) {
  create_process({.pid = 200, .parent_pid = 100});
  EXPECT_DEATH({ PsSetCreateThreadNotifyRoutine(removes_itself); create_thread(200, 201, 0); },
               "STOP: 0x000000C4 \\(0x0+1000,");
}

TEST_F(notify_death_test, a_routine_returns_as_it_was_called) {
  create_process({.pid = 200, .parent_pid = 100});
  EXPECT_BUG_CHECK({ PsSetCreateThreadNotifyRoutine(returns_raised); create_thread(200, 201, 0); },
                   "IRQL_UNEXPECTED_VALUE");
  EXPECT_BUG_CHECK({ PsSetCreateThreadNotifyRoutine(leaves_region_open); create_thread(200, 201, 0); },
                   "APC_INDEX_MISMATCH");
}

}  // namespace
}  // namespace sluice::sim
