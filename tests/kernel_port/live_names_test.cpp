// Names: from /proc and from bytes to what NT carries.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "kernel_port/sources/live/command_line.h"
#include "kernel_port/sources/live/look_ahead.h"
#include "kernel_port/sources/live/proc_names.h"
#include "kernel_port/sources/live/proc_snapshot.h"
#include "kernel_port/sources/live/utf16_text.h"

namespace sluice::live {
namespace {

std::string joined(std::string_view arguments) { return join_command_line(arguments); }

TEST(live_command_line, arguments_stand_in_one_line) {
  using namespace std::string_view_literals;
  EXPECT_EQ(joined("ls\0-l\0/tmp\0"sv), "ls -l /tmp");
  EXPECT_EQ(joined("true\0"sv), "true");
  EXPECT_EQ(joined(""sv), "");
}

TEST(live_command_line, what_would_fall_apart_is_quoted_as_windows_does) {
  using namespace std::string_view_literals;
  EXPECT_EQ(joined("echo\0a b\0"sv), "echo \"a b\"");
  EXPECT_EQ(joined("echo\0\0x\0"sv), "echo \"\" x");
  EXPECT_EQ(joined("echo\0say \"hi\"\0"sv), "echo \"say \\\"hi\\\"\"");
  EXPECT_EQ(joined("dir\0C:\\a b\\\0"sv), "dir \"C:\\a b\\\\\"") << "a backslash before the closing quote is doubled";
  EXPECT_EQ(joined("dir\0C:\\a\\b\0"sv), "dir C:\\a\\b");
  EXPECT_EQ(joined("x\0a\\\\\"b\0"sv), "x \"a\\\\\\\\\\\"b\"");
}

TEST(live_command_line, a_process_that_wrote_over_its_arguments_is_taken_as_it_stands) {
  using namespace std::string_view_literals;
  EXPECT_EQ(joined("nginx:\0master"sv), "nginx: master");
}

TEST(live_utf16, utf8_becomes_utf16) {
  EXPECT_EQ(to_utf16("/usr/bin/true").text, u"/usr/bin/true");
  EXPECT_EQ(to_utf16("gr\xc3\xbc\xc3\x9f\x65").text, u"grüße");
  EXPECT_EQ(to_utf16("\xf0\x9f\x98\x80").text, u"\U0001f600");
}

TEST(live_utf16, a_byte_that_is_no_utf8_becomes_its_own_unpaired_surrogate) {
  EXPECT_EQ(to_utf16("a\xff" "b").text, (std::u16string{u'a', char16_t{0xdcff}, u'b'}));
  EXPECT_EQ(to_utf16("\xc3").text, (std::u16string{char16_t{0xdcc3}})) << "cut short";
  EXPECT_EQ(to_utf16("\xed\xa0\x80").text, (std::u16string{char16_t{0xdced}, char16_t{0xdca0}, char16_t{0xdc80}}))
      << "a surrogate in UTF-8 is no UTF-8";
  EXPECT_EQ(to_utf16("\xc0\x80").text, (std::u16string{char16_t{0xdcc0}, char16_t{0xdc80}})) << "overlong";
}

TEST(live_utf16, text_is_cut_at_what_nt_can_hold_and_never_inside_a_pair) {
  EXPECT_FALSE(to_utf16(std::string(max_utf16_units, 'a')).truncated);
  utf16_text cut = to_utf16(std::string(max_utf16_units + 1, 'a'));
  EXPECT_TRUE(cut.truncated);
  EXPECT_EQ(cut.text.size(), max_utf16_units);
  utf16_text pair = to_utf16(std::string(max_utf16_units - 1, 'a') + "\xf0\x9f\x98\x80");
  EXPECT_TRUE(pair.truncated);
  EXPECT_EQ(pair.text.size(), max_utf16_units - 1);
  EXPECT_LE(cut.text.size() * 2, 65534u);
}

TEST(live_proc, a_process_name_with_parentheses_and_spaces_does_not_shift_the_fields) {
  auto stat = parse_process_stat("7 (a) S (b ) R 5 7 7 0 -1 2097216 1 2 3 4 5 6 7 8 20 0 1 0 1234 9 9\n", 100, 0);
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->name, "a) S (b ");
  EXPECT_EQ(stat->parent_pid, 5);
  EXPECT_TRUE(stat->kernel_thread);
  EXPECT_EQ(stat->started, 12'340'000'000u);
}

TEST(live_proc, start_times_are_moved_to_the_clock_of_the_records) {
  std::string line = "7 (a) R 5 7 7 0 -1 64 1 2 3 4 5 6 7 8 20 0 1 0 1234 9 9\n";
  EXPECT_EQ(parse_process_stat(line, 100, 340'000'000)->started, 12'000'000'000u);
  EXPECT_EQ(parse_process_stat(line, 100, 99'000'000'000)->started, 0u);
  EXPECT_FALSE(parse_process_stat(line, 100, 0)->kernel_thread);
}

TEST(live_proc, what_is_no_stat_line_gives_nothing) {
  for (const char* line : {"", "7", "7 (a", "7 (a) R 5", ")a("}) EXPECT_FALSE(parse_process_stat(line, 100, 0)) << line;
}

TEST(live_proc, this_process_can_be_read) {
  proc_names names;
  command_line_read line = names.read_command_line(getpid());
  EXPECT_EQ(line.result, command_line_read::outcome::read);
  EXPECT_NE(line.command_line.find("live_test"), std::string::npos) << line.command_line;
  EXPECT_LE(line.started, names.now());
  EXPECT_NE(names.read_image_path(getpid()).value_or("").find("live_test"), std::string::npos);
}

TEST(live_proc, a_pid_that_nobody_has_is_gone) {
  proc_names names;
  constexpr int32_t nobody = 0x7ffffff0;  // beyond any pid_max
  EXPECT_EQ(names.read_command_line(nobody).result, command_line_read::outcome::gone);
  EXPECT_FALSE(names.read_image_path(nobody));
}

TEST(live_proc, a_snapshot_has_this_process_with_its_threads_and_parents_first) {
  process_snapshot snapshot = take_process_snapshot();
  EXPECT_LT(snapshot.begin, snapshot.end);
  bool found = false;
  uint64_t last = 0;
  for (const snapshot_process& process : snapshot.processes) {
    EXPECT_GE(process.started, last);
    last = process.started;
    if (process.pid != getpid()) continue;
    found = true;
    EXPECT_EQ(process.parent_pid, getppid());
    EXPECT_NE(std::find(process.threads.begin(), process.threads.end(), getpid()), process.threads.end());
  }
  EXPECT_TRUE(found);
}

TEST(live_mapping, files_are_images_and_the_rest_is_not) {
  EXPECT_EQ(mapping_kind_of("/usr/lib/libc.so.6"), mapping_kind::file);
  EXPECT_EQ(mapping_kind_of("/memfd:program (deleted)"), mapping_kind::file);
  EXPECT_EQ(mapping_kind_of("(unreachable)/bin/x"), mapping_kind::file);
  EXPECT_EQ(mapping_kind_of("//toolong"), mapping_kind::file_without_path);
  EXPECT_EQ(mapping_kind_of("//enomem"), mapping_kind::file_without_path);
  for (const char* path : {"//anon", "[vdso]", "[heap]", "[stack]", ""})
    EXPECT_EQ(mapping_kind_of(path), mapping_kind::anonymous) << path;
}

}  // namespace
}  // namespace sluice::live
