#include "tests/kernel_port/sim_test_support.h"

namespace sluice::sim {
namespace {

struct message : testing::Test {
  machine system;
  activity thread{system, 0, 100, 101};
};
using message_death_test = message;

TEST_F(message, has_nts_formats) {
  UNICODE_STRING name = unicode_literal(u"\\Device\\\u00e4");
  testing::internal::CaptureStderr();
  DbgPrint("%wZ %ws %s %S|%-5d|%5u|%08lx|%I64u|%llu|%c%%", &name, u"wide", "narrow", u"also wide", -7, 8u, 0xabcdu,
           uint64_t{1} << 40, ~0ull, 'x');
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "\\Device\\\xc3\xa4 wide narrow also wide|-7   |    8|0000abcd|1099511627776|18446744073709551615|x%");
}

TEST_F(message, narrow_text_may_be_printed_at_dispatch_level) {
  testing::internal::CaptureStderr();
  const KIRQL old = KeRaiseIrqlToDpcLevel();
  DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, "irql %u\n", KeGetCurrentIrql());
  KeLowerIrql(old);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "irql 2\n");
}

TEST_F(message_death_test, wide_text_may_not) {
  UNICODE_STRING name = unicode_literal(u"name");
  EXPECT_BUG_CHECK({ KeRaiseIrqlToDpcLevel(); DbgPrint("%wZ\n", &name); }, "DRIVER_VERIFIER_DETECTED_VIOLATION");
}

TEST_F(message, unicode_strings_compare_and_copy_as_on_nt) {
  UNICODE_STRING upper = unicode_literal(u"ABC"), lower = unicode_literal(u"abc"), longer = unicode_literal(u"abcd");
  EXPECT_FALSE(RtlEqualUnicodeString(&upper, &lower, FALSE));
  EXPECT_TRUE(RtlEqualUnicodeString(&upper, &lower, TRUE));
  EXPECT_LT(RtlCompareUnicodeString(&lower, &longer, FALSE), 0);
  EXPECT_TRUE(RtlPrefixUnicodeString(&upper, &longer, TRUE));
  WCHAR buffer[4];
  UNICODE_STRING target{0, sizeof(buffer), buffer};
  RtlCopyUnicodeString(&target, &lower);
  EXPECT_EQ(target.Length, 6);
  EXPECT_EQ(RtlAppendUnicodeStringToString(&target, &lower), STATUS_BUFFER_TOO_SMALL);
  EXPECT_EQ(RtlCompareMemory("abcd", "abxd", 4), 2u);
  UNICODE_STRING none;
  RtlInitUnicodeString(&none, nullptr);
  EXPECT_EQ(none.Length, 0);
}

TEST_F(message_death_test, an_assertion_stops_the_run) {
  EXPECT_DEATH(NT_ASSERT(1 == 2), "Assertion failed: 1 == 2");
}

TEST_F(message_death_test, a_drivers_own_bug_check_keeps_its_arguments) {
  EXPECT_DEATH(KeBugCheckEx(0xE2, 1, 2, 3, 4), "STOP: 0x000000E2 \\(0x0+1, 0x0+2, 0x0+3, 0x0+4\\)");
}

}  // namespace
}  // namespace sluice::sim
