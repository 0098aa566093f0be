#include "consumers/filter/values.h"

#include <gtest/gtest.h>

namespace sluice::filter {
namespace {

constexpr uint64_t second = 1'000'000'000;

TEST(filter_interval, is_a_number_and_a_unit) {
  EXPECT_EQ(parse_interval("5s").result, 5 * second);
  EXPECT_EQ(parse_interval("100ms").result, second / 10);
  EXPECT_EQ(parse_interval("250us").result, second / 4000);
  EXPECT_EQ(parse_interval("1ns").result, 1u);
  EXPECT_EQ(parse_interval("1.5s").result, second * 3 / 2);
  EXPECT_EQ(parse_interval("0.001us").result, 1u);
  EXPECT_EQ(parse_interval("2m").result, 120 * second);
  EXPECT_EQ(parse_interval("1.25h").result, 4500 * second);
  EXPECT_EQ(parse_interval("24h").result, 86400 * second);
  EXPECT_EQ(parse_interval("0005.500s").result, second * 11 / 2);
}

TEST(filter_interval, says_what_is_wrong) {
  for (const char* text : {"", "5", "s", "5 s", " 5s", "5s ", "-5s", "+5s", "5.s", ".5s", "5..5s", "1e3s", "5S", "5sec", "nan", "0x5s", "5s5s"}) {
    const parsed<uint64_t> wrong = parse_interval(text);
    EXPECT_FALSE(wrong.result) << text;
    EXPECT_NE(wrong.error.find("is not a time"), std::string::npos) << text << ": " << wrong.error;
  }
  for (const char* text : {"25h", "86400.000000001s", "0.1ns", "1.0000000001s", "99999999999999999999h", "0.00000000000000000001h"}) {
    EXPECT_NE(parse_interval(text).error.find("is out of range"), std::string::npos) << text;
  }
  for (const char* text : {"0s", "0h", "0.000ms"}) EXPECT_NE(parse_interval(text).error.find("no time at all"), std::string::npos) << text;
}

TEST(filter_key, is_in_nt_form_without_a_backslash_at_its_end) {
  EXPECT_EQ(parse_key("\\REGISTRY\\MACHINE\\SOFTWARE").result, u"\\REGISTRY\\MACHINE\\SOFTWARE");
  EXPECT_EQ(parse_key("\\Registry\\Machine\\Software\\").result, u"\\Registry\\Machine\\Software");
  EXPECT_EQ(parse_key("\\REGISTRY\\A\\{0-1}\\\xc3\xa4\xf0\x9f\x98\x80").result, u"\\REGISTRY\\A\\{0-1}\\\u00e4\U0001f600");
  EXPECT_EQ(parse_key("\\REGISTRY").result, u"\\REGISTRY");
}

TEST(filter_key, of_all_names_of_roots_those_are_taken_that_mean_one_key) {
  EXPECT_EQ(parse_key("HKLM\\SOFTWARE\\X").result, u"\\REGISTRY\\MACHINE\\SOFTWARE\\X");
  EXPECT_EQ(parse_key("hkey_local_machine\\x").result, u"\\REGISTRY\\MACHINE\\x");
  EXPECT_EQ(parse_key("HKU\\S-1-5-18").result, u"\\REGISTRY\\USER\\S-1-5-18");
  EXPECT_EQ(parse_key("HKEY_USERS").result, u"\\REGISTRY\\USER");
  EXPECT_NE(parse_key("HKCU\\Software").error.find("another key for each user"), std::string::npos);
  EXPECT_NE(parse_key("HKEY_CLASSES_ROOT\\.txt").error.find("view of two keys"), std::string::npos);
  EXPECT_NE(parse_key("HKCC").error.find("is a link"), std::string::npos);
}

TEST(filter_key, says_what_is_wrong) {
  for (const char* text : {"", "\\", "SOFTWARE\\X", "\\REGISTRYX\\Y", "\\MACHINE", "\\\\REGISTRY\\MACHINE", "\\REGISTRY\\\\MACHINE",
                           "C:\\Windows", "HKLMX\\Y", "\\REGISTRY\\MACHINE\\\n", "/REGISTRY/MACHINE"}) {
    const parsed<std::u16string> wrong = parse_key(text);
    EXPECT_FALSE(wrong.result) << text;
    EXPECT_FALSE(wrong.error.empty()) << text;
  }
}

TEST(filter_key, the_link_to_the_current_control_set_is_pointed_out) {
  EXPECT_FALSE(parse_key("HKLM\\SYSTEM\\CurrentControlSet\\Services").warning.empty());
  EXPECT_TRUE(parse_key("HKLM\\SYSTEM\\CurrentControlSetX").warning.empty());
  EXPECT_TRUE(parse_key("HKLM\\SYSTEM\\ControlSet001\\Services").warning.empty());
}

TEST(filter_image, is_an_absolute_path_as_the_kernel_gives_it) {
  EXPECT_EQ(parse_image("\\Device\\HarddiskVolume3\\Windows\\").result, u"\\Device\\HarddiskVolume3\\Windows");
  EXPECT_EQ(parse_image("\\??\\C:\\Windows").result, u"\\??\\C:\\Windows");
  EXPECT_EQ(parse_image("/usr/bin/").result, u"/usr/bin");
  EXPECT_NE(parse_image("C:\\Windows").error.find("'\\??\\C:\\Windows'"), std::string::npos) << parse_image("C:\\Windows").error;
  for (const char* text : {"", "\\", "/", "cmd.exe", "\\a\\\\b", "/a//b", "\\a\tb", "//"}) {
    EXPECT_FALSE(parse_image(text).result) << text;
    EXPECT_FALSE(parse_image(text).error.empty()) << text;
  }
}

}  // namespace
}  // namespace sluice::filter
