#include "tests/kernel_port/sim_test_support.h"

namespace sluice::sim {
namespace {

struct irql : testing::Test {
  machine system;
  activity thread{system, 0, 100, 101};
};
using irql_death_test = irql;

TEST_F(irql, raising_and_lowering_nest) {
  EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
  KIRQL first, second;
  KeRaiseIrql(APC_LEVEL, &first);
  KeRaiseIrql(DISPATCH_LEVEL, &second);
  EXPECT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
  EXPECT_EQ(second, APC_LEVEL);
  KeLowerIrql(second);
  KeLowerIrql(first);
  EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
  EXPECT_EQ(KeRaiseIrqlToDpcLevel(), PASSIVE_LEVEL);
  KeLowerIrql(PASSIVE_LEVEL);
}

TEST_F(irql, critical_and_guarded_regions_say_which_apcs_are_off) {
  EXPECT_FALSE(KeAreApcsDisabled());
  KeEnterCriticalRegion();
  KeEnterCriticalRegion();
  EXPECT_TRUE(KeAreApcsDisabled());
  EXPECT_FALSE(KeAreAllApcsDisabled());
  KeLeaveCriticalRegion();
  EXPECT_TRUE(KeAreApcsDisabled());
  KeLeaveCriticalRegion();
  EXPECT_FALSE(KeAreApcsDisabled());
  KeEnterGuardedRegion();
  EXPECT_TRUE(KeAreAllApcsDisabled());
  KeLeaveGuardedRegion();
  EXPECT_FALSE(KeAreAllApcsDisabled());
}

void raise(KIRQL level) {
  KIRQL old;
  KeRaiseIrql(level, &old);
}

TEST_F(irql_death_test, a_raise_to_a_lower_level_is_a_bug_check) {
  EXPECT_BUG_CHECK({ raise(DISPATCH_LEVEL); raise(APC_LEVEL); }, "IRQL_NOT_GREATER_OR_EQUAL");
}

TEST_F(irql_death_test, a_lowering_to_a_higher_level_is_a_bug_check) {
  EXPECT_BUG_CHECK(KeLowerIrql(DISPATCH_LEVEL), "IRQL_NOT_LESS_OR_EQUAL");
}

TEST_F(irql_death_test, a_level_that_does_not_exist_is_a_bug_check) {
  EXPECT_BUG_CHECK(raise(16), "DRIVER_VERIFIER_DETECTED_VIOLATION");
}

TEST_F(irql_death_test, the_report_has_code_arguments_place_and_stack) {
  EXPECT_DEATH({ raise(DISPATCH_LEVEL); raise(APC_LEVEL); },
               "STOP: 0x00000009 \\(0x0+30, 0x0+2, 0x0+1, 0x0+\\)(.|\n)*Thread 101 of process 100 on CPU 0 at IRQL 2"
               "(.|\n)*Stack:");
}

TEST_F(irql_death_test, a_region_left_but_never_entered_is_a_bug_check) {
  EXPECT_BUG_CHECK_SAYING(KeLeaveCriticalRegion(), "DRIVER_VERIFIER_DETECTED_VIOLATION", "in no critical region");
  EXPECT_BUG_CHECK_SAYING(KeLeaveGuardedRegion(), "DRIVER_VERIFIER_DETECTED_VIOLATION", "in no guarded region");
}

TEST_F(irql_death_test, each_function_is_refused_above_its_level) {
  const auto at = [](KIRQL level, auto&& call) {
    raise(level);
    call();
  };
  constexpr auto violation = "DRIVER_VERIFIER_DETECTED_VIOLATION\n";
  EXPECT_DEATH(at(DISPATCH_LEVEL, [] { KeEnterCriticalRegion(); }), violation);
  EXPECT_DEATH(at(DISPATCH_LEVEL, [] { KeLeaveCriticalRegion(); }), violation);
  EXPECT_DEATH(at(DISPATCH_LEVEL, [] { SYSTEM_ROUTINE(KeQuerySystemTimePrecise); }), violation);
  EXPECT_DEATH(at(APC_LEVEL, [] { KeFlushQueuedDpcs(); }), violation);
  EXPECT_DEATH(at(APC_LEVEL, [] { PsSetCreateThreadNotifyRoutine(nullptr); }), violation);
  EXPECT_DEATH(at(APC_LEVEL, [] { ZwClose(nullptr); }), violation);
  EXPECT_DEATH(at(APC_LEVEL, [] { UNICODE_STRING link{}; IoDeleteSymbolicLink(&link); }), violation);
  EXPECT_DEATH(at(DISPATCH_LEVEL, [] { PAGED_CODE(); }), violation);
}

TEST(irql_without_an_activity, is_a_wrong_use_of_the_machine) {
  machine system;
  EXPECT_DEATH(raise(DISPATCH_LEVEL), "holds no activity");
  EXPECT_DEATH(KeGetCurrentIrql(), "holds no activity");
}

}  // namespace
}  // namespace sluice::sim
