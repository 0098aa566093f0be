#include "tests/kernel_port/sim_test_support.h"

namespace sluice::sim {
namespace {

bool has(const machine& system, const char16_t* name) {
  (void)system;
  return system_routine<void()>(name) != nullptr;
}

TEST(system_routine, each_kernel_level_has_what_its_windows_has) {
  struct expectation {
    kernel_level level;
    bool process_ex, process_ex2, precise_time, start_key, groups;
  };
  for (const expectation& expected : {expectation{kernel_level::nt52, false, false, false, false, false},
                                      expectation{kernel_level::vista, true, false, false, false, false},
                                      expectation{kernel_level::windows8, true, false, true, false, true},
                                      expectation{kernel_level::windows10, true, true, true, true, true}}) {
    machine system({.level = expected.level});
    activity thread(system, 0, 100, 101);
    EXPECT_EQ(has(system, u"PsSetCreateProcessNotifyRoutineEx"), expected.process_ex);
    EXPECT_EQ(has(system, u"PsSetCreateProcessNotifyRoutineEx2"), expected.process_ex2);
    EXPECT_EQ(has(system, u"PsSetCreateThreadNotifyRoutineEx"), expected.process_ex2);
    EXPECT_EQ(has(system, u"PsSetLoadImageNotifyRoutineEx"), expected.process_ex2);
    EXPECT_EQ(has(system, u"PsGetProcessStartKey"), expected.start_key);
    EXPECT_EQ(has(system, u"KeQuerySystemTimePrecise"), expected.precise_time);
    EXPECT_EQ(has(system, u"KeGetCurrentProcessorNumberEx"), expected.groups);
    EXPECT_EQ(has(system, u"ExAllocatePool2"), expected.process_ex2);
    EXPECT_TRUE(has(system, u"PsSetCreateProcessNotifyRoutine"));
    EXPECT_TRUE(has(system, u"ExAllocatePoolWithTag"));
  }
}

TEST(system_routine, names_are_case_sensitive) {
  machine system;
  activity thread(system, 0, 100, 101);
  EXPECT_TRUE(has(system, u"KeSetEvent"));
  EXPECT_FALSE(has(system, u"kesetevent"));
  EXPECT_FALSE(has(system, u"NoSuchFunction"));
}

}  // namespace
}  // namespace sluice::sim
