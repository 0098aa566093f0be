// Processors that are added while the machine runs, and who is told of them.
#include "tests/kernel_port/sim_test_support.h"

namespace sluice::sim {
namespace {

auto* register_callback() { return SYSTEM_ROUTINE(KeRegisterProcessorChangeCallback); }
auto* deregister_callback() { return SYSTEM_ROUTINE(KeDeregisterProcessorChangeCallback); }

struct told {
  char who;
  KE_PROCESSOR_CHANGE_NOTIFY_STATE state;
  ULONG cpu;
  ULONG active;
  bool operator==(const told&) const = default;
};
std::vector<told> the_log;
ULONG refused = ~0u;
PVOID to_deregister = nullptr;

template <char who>
VOID NTAPI note(PVOID, PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT change, PNTSTATUS status) {
  EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
  the_log.push_back({who, change->State, change->NtNumber, KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS)});
  if (who == 'b' && change->NtNumber == refused && change->State == KeProcessorAddStartNotify) {
    *status = STATUS_INSUFFICIENT_RESOURCES;
  }
}

VOID NTAPI leave_from_inside(PVOID, PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT, PNTSTATUS) {
  deregister_callback()(to_deregister);
}

struct processor_change : testing::Test {
  processor_change() {
    the_log.clear();
    refused = ~0u;
  }
};

TEST_F(processor_change, callbacks_hear_of_a_processor_before_it_runs_and_after) {
  machine system({.processors = 2, .maximum_processors = 4});
  const activity thread(system, 0, 4, 8);
  const PVOID a = register_callback()(&note<'a'>, nullptr, 0);
  const PVOID b = register_callback()(&note<'b'>, nullptr, 0);
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(system.add_processor(), STATUS_SUCCESS);
  EXPECT_EQ(the_log, (std::vector<told>{{'a', KeProcessorAddStartNotify, 2, 2},
                                        {'b', KeProcessorAddStartNotify, 2, 2},
                                        {'a', KeProcessorAddCompleteNotify, 2, 3},
                                        {'b', KeProcessorAddCompleteNotify, 2, 3}}));
  deregister_callback()(a);
  deregister_callback()(b);
  the_log.clear();
  EXPECT_EQ(system.add_processor(), STATUS_SUCCESS);
  EXPECT_TRUE(the_log.empty());
  EXPECT_EQ(system.processors(), 4u);
  EXPECT_EQ(system.add_processor(), STATUS_NOT_SUPPORTED) << "as many as there can be";
}

TEST_F(processor_change, a_callback_can_refuse_a_processor) {
  machine system({.processors = 1, .maximum_processors = 2});
  const activity thread(system, 0, 4, 8);
  const PVOID a = register_callback()(&note<'a'>, nullptr, 0);
  const PVOID b = register_callback()(&note<'b'>, nullptr, 0);
  const PVOID c = register_callback()(&note<'c'>, nullptr, 0);
  refused = 1;
  EXPECT_EQ(system.add_processor(), STATUS_INSUFFICIENT_RESOURCES);
  EXPECT_EQ(the_log, (std::vector<told>{{'a', KeProcessorAddStartNotify, 1, 1},
                                        {'b', KeProcessorAddStartNotify, 1, 1},
                                        {'a', KeProcessorAddFailureNotify, 1, 1},
                                        {'b', KeProcessorAddFailureNotify, 1, 1}}))
      << "who was told of the start, hears of the failure";
  EXPECT_EQ(system.processors(), 1u);
  refused = ~0u;
  EXPECT_EQ(system.add_processor(), STATUS_SUCCESS);
  for (const PVOID each : {a, b, c}) deregister_callback()(each);
}

TEST_F(processor_change, a_registration_can_ask_for_those_that_are_there) {
  machine system({.processors = 2});
  const activity thread(system, 0, 4, 8);
  const PVOID b = register_callback()(&note<'b'>, nullptr, KE_PROCESSOR_CHANGE_ADD_EXISTING);
  EXPECT_EQ(the_log, (std::vector<told>{{'b', KeProcessorAddStartNotify, 0, 2},
                                        {'b', KeProcessorAddStartNotify, 1, 2},
                                        {'b', KeProcessorAddCompleteNotify, 0, 2},
                                        {'b', KeProcessorAddCompleteNotify, 1, 2}}));
  deregister_callback()(b);
  the_log.clear();
  refused = 1;
  EXPECT_EQ(register_callback()(&note<'b'>, nullptr, KE_PROCESSOR_CHANGE_ADD_EXISTING), nullptr);
  EXPECT_EQ(the_log.back(), (told{'b', KeProcessorAddFailureNotify, 1, 2}));
  EXPECT_EQ(system.in_use().callbacks, 0u);
}

TEST_F(processor_change, numbers_go_on_into_the_next_group) {
  machine system({.processors = 2, .maximum_processors = 5, .processors_per_group = 3});
  const activity thread(system, 0, 4, 8);
  EXPECT_EQ(KeQueryMaximumProcessorCountEx(ALL_PROCESSOR_GROUPS), 5u);
  EXPECT_EQ(KeQueryMaximumProcessorCountEx(1), 2u);
  EXPECT_EQ(KeQueryActiveProcessorCountEx(1), 0u);
  PROCESSOR_NUMBER number;
  EXPECT_EQ(KeGetProcessorNumberFromIndex(3, &number), STATUS_INVALID_PARAMETER) << "it does not run yet";
  for (int i = 0; i < 2; ++i) ASSERT_EQ(system.add_processor(), STATUS_SUCCESS);
  EXPECT_EQ(KeQueryActiveProcessorCountEx(0), 3u);
  EXPECT_EQ(KeQueryActiveProcessorCountEx(1), 1u);
  EXPECT_EQ(KeQueryActiveGroupCount(), 2u);
  ASSERT_EQ(KeGetProcessorNumberFromIndex(3, &number), STATUS_SUCCESS);
  EXPECT_EQ(number.Group, 1);
  EXPECT_EQ(number.Number, 0);
}

TEST_F(processor_change, nt52_has_no_such_callbacks) {
  machine system({.processors = 1, .level = kernel_level::nt52});
  const activity thread(system, 0, 4, 8);
  EXPECT_EQ(register_callback(), nullptr);
  EXPECT_EQ(deregister_callback(), nullptr);
}

using processor_change_death_test = processor_change;

void deregister_from_inside() {
  machine system({.processors = 1, .maximum_processors = 2});
  const activity thread(system, 0, 4, 8);
  to_deregister = register_callback()(&leave_from_inside, nullptr, 0);
  (void)system.add_processor();
}
void leave_registered() {
  machine system({.processors = 1});
  const activity thread(system, 0, 4, 8);
  (void)register_callback()(&note<'a'>, nullptr, 0);
}
void register_at_apc_level() {
  machine system({.processors = 1});
  const activity thread(system, 0, 4, 8);
  auto* const enroll = register_callback();
  KIRQL old;
  KeRaiseIrql(APC_LEVEL, &old);
  (void)enroll(&note<'a'>, nullptr, 0);
}

TEST_F(processor_change_death_test, a_callback_that_deregisters_itself_waits_for_ever) {
  EXPECT_BUG_CHECK_SAYING(deregister_from_inside(), "DRIVER_VERIFIER_DETECTED_VIOLATION",
                          "from inside a processor change callback");
}

TEST_F(processor_change_death_test, a_callback_left_behind_is_a_bug_check) {
  EXPECT_BUG_CHECK(leave_registered(), "DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS");
}

TEST_F(processor_change_death_test, registration_is_for_passive_level) {
  EXPECT_BUG_CHECK(register_at_apc_level(), "DRIVER_VERIFIER_DETECTED_VIOLATION");
}

}  // namespace
}  // namespace sluice::sim
