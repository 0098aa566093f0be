// Callback objects: names, registration, IRQL, and removal that waits.
#include "tests/kernel_port/sim_test_support.h"

namespace sluice::sim {
namespace {

NTSTATUS open(PCALLBACK_OBJECT& object, const char16_t* name, BOOLEAN create = FALSE, BOOLEAN multiple = TRUE) {
  UNICODE_STRING string;
  RtlInitUnicodeString(&string, reinterpret_cast<PCWSTR>(name));
  OBJECT_ATTRIBUTES attributes;
  InitializeObjectAttributes(&attributes, &string, OBJ_CASE_INSENSITIVE, nullptr, nullptr);
  return ExCreateCallback(&object, &attributes, create, multiple);
}

std::atomic<uint32_t> calls{0};
std::atomic<bool> inside{false}, go_on{false};
PVOID handle = nullptr;

VOID NTAPI count_call(PVOID context, PVOID first, PVOID second) {
  EXPECT_EQ(context, &calls);
  EXPECT_EQ(first, nullptr);
  EXPECT_EQ(second, nullptr);
  ++calls;
}
VOID NTAPI stay(PVOID, PVOID, PVOID) {
  inside = true;
  eventually([] { return go_on.load(); });
}
VOID NTAPI leave_from_inside(PVOID, PVOID, PVOID) { ExUnregisterCallback(handle); }

TEST(callback_object, setting_the_system_time_notifies_who_asked_for_it) {
  machine system;
  const activity thread(system, 0, 4, 8);
  calls = 0;
  PCALLBACK_OBJECT object = nullptr;
  ASSERT_EQ(open(object, u"\\callback\\setsystemtime"), STATUS_SUCCESS);
  const PVOID registration = ExRegisterCallback(object, &count_call, &calls);
  ASSERT_NE(registration, nullptr);
  const uint64_t before = system.system_time();
  constexpr uint64_t day = 864'000'000'000;
  const LARGE_INTEGER counter = KeQueryPerformanceCounter(nullptr);
  system.set_system_time(before - day);
  EXPECT_EQ(calls, 1u);
  LARGE_INTEGER now;
  KeQuerySystemTime(&now);
  EXPECT_LT(static_cast<uint64_t>(now.QuadPart), before);
  EXPECT_GE(KeQueryPerformanceCounter(nullptr).QuadPart, counter.QuadPart) << "the counter does not depend on it";
  ExUnregisterCallback(registration);
  system.set_system_time(before);
  EXPECT_EQ(calls, 1u);
  ObDereferenceObject(object);
}

TEST(callback_object, with_a_seed_routines_come_at_dispatch_level_too) {
  static std::atomic<uint32_t> at_dispatch;
  at_dispatch = 0;
  machine system({.seed = 7});
  const activity thread(system, 0, 4, 8);
  PCALLBACK_OBJECT object = nullptr;
  ASSERT_EQ(open(object, u"\\Callback\\SetSystemTime"), STATUS_SUCCESS);
  const PVOID registration = ExRegisterCallback(
      object, [](PVOID, PVOID, PVOID) { at_dispatch += KeGetCurrentIrql() == DISPATCH_LEVEL; }, nullptr);
  for (int i = 0; i < 200; ++i) system.set_system_time(system.system_time());
  EXPECT_GT(at_dispatch, 0u);
  EXPECT_LT(at_dispatch, 200u);
  ExUnregisterCallback(registration);
  ObDereferenceObject(object);
}

TEST(callback_object, only_known_names_are_opened_and_a_new_one_can_be_made) {
  machine system;
  const activity thread(system, 0, 4, 8);
  PCALLBACK_OBJECT object = nullptr;
  EXPECT_EQ(open(object, u"\\Callback\\Mine"), STATUS_OBJECT_NAME_NOT_FOUND);
  ASSERT_EQ(open(object, u"\\Callback\\Mine", TRUE, FALSE), STATUS_SUCCESS);
  PCALLBACK_OBJECT again = nullptr;
  ASSERT_EQ(open(again, u"\\Callback\\Mine"), STATUS_SUCCESS);
  EXPECT_EQ(object, again);
  const PVOID first = ExRegisterCallback(object, &count_call, &calls);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(ExRegisterCallback(object, &count_call, &calls), nullptr) << "it takes one";
  calls = 0;
  ExNotifyCallback(again, nullptr, nullptr);
  EXPECT_EQ(calls, 1u);
  ExUnregisterCallback(first);
  ObDereferenceObject(again);
  ObDereferenceObject(object);
  EXPECT_EQ(open(object, u"\\Callback\\Mine"), STATUS_OBJECT_NAME_NOT_FOUND) << "gone with its last reference";
}

TEST(callback_object, removal_waits_for_a_running_routine) {
  machine system;
  const activity thread(system, 0, 4, 8);
  inside = go_on = false;
  PCALLBACK_OBJECT object = nullptr;
  ASSERT_EQ(open(object, u"\\Callback\\SetSystemTime"), STATUS_SUCCESS);
  const PVOID registration = ExRegisterCallback(object, &stay, nullptr);
  std::thread setter([&] {
    const activity other(system, 1, 4, 12);
    system.set_system_time(system.system_time());
  });
  eventually([] { return inside.load(); });
  std::atomic<bool> removed{false};
  std::thread remover([&] {
    const activity other(system, 1, 4, 16);
    ExUnregisterCallback(registration);
    removed = true;
  });
  for (int i = 0; i < 50; ++i) std::this_thread::yield();
  EXPECT_FALSE(removed.load());
  go_on = true;
  setter.join();
  remover.join();
  ObDereferenceObject(object);
}

void unregister_from_inside() {
  machine system;
  const activity thread(system, 0, 4, 8);
  PCALLBACK_OBJECT object = nullptr;
  (void)open(object, u"\\Callback\\SetSystemTime");
  handle = ExRegisterCallback(object, &leave_from_inside, nullptr);
  system.set_system_time(system.system_time());
}
void leave_registered() {
  machine system;
  const activity thread(system, 0, 4, 8);
  PCALLBACK_OBJECT object = nullptr;
  (void)open(object, u"\\Callback\\SetSystemTime");
  (void)ExRegisterCallback(object, &count_call, nullptr);
}
void open_at_apc_level() {
  machine system;
  const activity thread(system, 0, 4, 8);
  KIRQL old;
  KeRaiseIrql(APC_LEVEL, &old);
  PCALLBACK_OBJECT object = nullptr;
  (void)open(object, u"\\Callback\\SetSystemTime");
}
void unregister_twice() {
  machine system;
  const activity thread(system, 0, 4, 8);
  PCALLBACK_OBJECT object = nullptr;
  (void)open(object, u"\\Callback\\SetSystemTime");
  const PVOID registration = ExRegisterCallback(object, &count_call, nullptr);
  ExUnregisterCallback(registration);
  ExUnregisterCallback(registration);
}

TEST(callback_object_death_test, misuse_is_a_bug_check) {
  EXPECT_BUG_CHECK_SAYING(unregister_from_inside(), "DRIVER_VERIFIER_DETECTED_VIOLATION", "from inside the routine itself");
  EXPECT_BUG_CHECK(leave_registered(), "DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS");
  EXPECT_BUG_CHECK(open_at_apc_level(), "DRIVER_VERIFIER_DETECTED_VIOLATION");
  EXPECT_BUG_CHECK_SAYING(unregister_twice(), "DRIVER_VERIFIER_DETECTED_VIOLATION", "not registered");
}

}  // namespace
}  // namespace sluice::sim
