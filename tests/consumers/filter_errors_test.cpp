// What is said about a filter file that is wrong: where, what, and what would be right.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "consumers/filter/text.h"
#include "tests/consumers/filter_support.h"

namespace sluice::filter {
namespace {

using test::filter_from_text;
using test::expect_lines;

struct wrong_file {
  const char* text;
  const char* said;  // the only line begins so
};

void expect_each(std::initializer_list<wrong_file> files) {
  for (const wrong_file& file : files) {
    const filter_from_text filter(file.text);
    SCOPED_TRACE(file.text);
    expect_lines(filter, {file.said});
    EXPECT_FALSE(filter.message.has_value()) << file.text;
  }
}

TEST(filter_errors, text_that_is_not_toml) {
  expect_each({
      {"types = [\"process\"", "1:19: error: this is not TOML: "},
      {"types = [\"image\"]\ntypes = [\"thread\"]", "2:9: error: this is not TOML: "},
      {"[keys]\n[images]\n[keys]\n", "3:1: error: this is not TOML: "},
      {"x", "1:2: error: this is not TOML: "},
  });
  const filter_from_text twice("types = [\"image\"]\ntypes = [\"thread\"]");
  EXPECT_NE(twice.lines().front().find("cannot redefine existing array 'types'"), std::string::npos);
  const filter_from_text escaped("[keys]\ninclude = [\"\\REGISTRY\\MACHINE\"]");
  expect_lines(escaped, {"2:14: error: this is not TOML: "});
  EXPECT_NE(escaped.lines().front().find("write paths as '...'"), std::string::npos);
}

TEST(filter_errors, keys_that_are_not_known) {
  expect_each({
      {"type = [\"image\"]", "1:1: error: 'type' is not known here, is 'types' meant? there are: types, processes, images, "},
      {"[key]\ninclude = ['\\REGISTRY\\MACHINE']", "1:2: error: 'key' is not known here, is 'keys' meant?"},
      {"[keys]\nexcludes = ['\\REGISTRY\\MACHINE']\nexclude = []", "2:1: error: 'keys.excludes' is not known here, is 'exclude' meant?"},
      {"[processes]\ninclude = [{pid = 3, children = true}]", "2:22: error: 'processes.include.children' is not known here; there are: pid, descendants"},
      {"[[type_rate]]\ntypes = [\"image\"]\nper_second = 5\n\"b\\nurst\" = 7", "4:1: error: 'type_rate.b<U+000A>urst' is not known here, is 'burst' meant?"},
  });
}

TEST(filter_errors, values_of_another_kind) {
  expect_each({
      {"types = \"image\"", "1:9: error: types is a list, such as [\"process\", \"registry_set_value\"]; this is a string"},
      {"types = [\"image\", 5]", "1:19: error: types is a list of strings, such as "},
      {"types = true", "1:9: error: types is a list, such as [\"process\", \"registry_set_value\"]; this is a boolean"},
      {"types = 12:30:00", "1:9: error: types is a list, such as [\"process\", \"registry_set_value\"]; this is a time of day"},
      {"types = 2020-01-01T12:30:00Z", "1:9: error: types is a list, such as [\"process\", \"registry_set_value\"]; this is a date and time"},
      {"[types]", "1:1: error: types is a list, such as [\"process\", \"registry_set_value\"]; this is a table"},
      {"keys = 5", "1:8: error: keys is a table, such as [keys]; this is an integer"},
      {"processes = [4]", "1:13: error: processes is a table, such as [processes]; this is a list"},
      {"[processes]\ninclude = 5", "2:11: error: processes.include is a list, such as [4711, "},
      {"[processes]\nexclude = [5, \"6\"]", "2:15: error: processes.exclude is a whole number, such as 4711 or {"},
      {"[processes]\nexclude = [{pid = 5.0}]", "2:19: error: processes.exclude.pid is a whole number, such as 4711; this is a floating-point number"},
      {"[processes]\nexclude = [{pid = 5, descendants = 1}]", "2:36: error: processes.exclude.descendants is true or false, such as true; this is an integer"},
      {"[repeats]\ntypes = [\"image\"]\nwindow = 5", "3:10: error: repeats.window is a string, such as \"5s\"; this is an integer"},
      {"[type_rate]\ntypes = [\"image\"]\nper_second = 5", "1:1: error: there can be several of these: write [[type_rate]] instead of [type_rate]"},
      {"type_rate = [3]", "1:14: error: type_rate is one table or more, "},
      {"type_rate = 3", "1:13: error: type_rate is one table or more, "},
      {"[[process_rate]]\nper_second = 5", "1:1: error: process_rate is a table, such as [process_rate]; this is a list"},
      {"[images]\nexclude = [2020-01-01]", "2:12: error: images.exclude is a list of strings, such as ['\\Device\\HarddiskVolume3\\Windows']; this is a date"},
  });
}

TEST(filter_errors, paths_longer_than_any_string_of_the_kernel) {
  const auto with_length = [](size_t units) {
    const std::string path = "\\REGISTRY\\MACHINE\\";
    return fmt::format("[keys]\ninclude = ['{}{}']\n", path, std::string(units - path.size(), 'k'));
  };
  const filter_from_text longest(with_length(32766));
  EXPECT_TRUE(longest.lines().empty()) << longest.lines().front();
  EXPECT_TRUE(longest.message.has_value());
  const filter_from_text longer(with_length(32767));
  expect_lines(longer, {"2:12: error: "});
  EXPECT_NE(longer.lines().front().find("has 32767 units of UTF-16; the kernel's have 32766 at most"), std::string::npos) << longer.lines().front();
  EXPECT_FALSE(longer.message.has_value());
}

TEST(filter_errors, values_out_of_range) {
  expect_each({
      {"[processes]\ninclude = [268435456]", "2:12: error: 268435456 is out of range for processes.include: 0 to 268435455"},
      {"[processes]\ninclude = [-4]", "2:12: error: -4 is out of range for processes.include: 0 to 268435455"},
      {"[processes]\ninclude = [{pid = 9223372036854775807}]", "2:19: error: 9223372036854775807 is out of range for processes.include.pid"},
      {"[processes]\nexclude = [0]", "2:12: error: 0 is no process that has descendants; {pid = 0, descendants = false}"},
      {"[repeats]\ntypes = [\"image\"]\nwindow = \"2h\"", "3:10: error: 2h is out of range for repeats.window: whole milliseconds, 1ms to 1h"},
      {"[repeats]\ntypes = [\"image\"]\nwindow = \"1500us\"", "3:10: error: 1500us is out of range for repeats.window"},
      {"[repeats]\ntypes = [\"image\"]\nwindow = \"0s\"", "3:10: error: '0s' is no time at all"},
      {"[repeats]\ntypes = [\"image\"]\nwindow = \"soon\"", "3:10: error: 'soon' is not a time: a number and a unit"},
      {"[[type_rate]]\ntypes = [\"image\"]\nper_second = 10000001", "3:14: error: 10000001 is out of range for type_rate.per_second: 0 to 10000000"},
      {"[[type_rate]]\ntypes = [\"image\"]\nper_second = 1\nburst = 0", "4:9: error: 0 is out of range for type_rate.burst: 1 to 1000000"},
      {"[process_rate]\nper_second = -1", "2:14: error: -1 is out of range for process_rate.per_second"},
  });
}

TEST(filter_errors, names_of_types_that_there_are_not) {
  expect_each({
      {"types = [\"proces\"]", "1:10: error: 'proces' is not an event type, is 'process' meant? there are: process, thread, "},
      {"types = [\"loss\"]", "1:10: error: 'loss' is not an event type; there are: "},
      {"types = [\"image\", \"\"]", "1:19: error: '' is not an event type; "},
      {"[repeats]\ntypes = [\"hartbeat\"]\nwindow = \"1s\"", "2:10: error: 'hartbeat' is not an event type, is 'heartbeat' meant?"},
      {"types = [\"a\\u001b[2J\"]", "1:10: error: 'a<U+001B>[2J' is not an event type; "},
  });
}

TEST(filter_errors, paths_that_cannot_be) {
  expect_each({
      {"[keys]\ninclude = ['SOFTWARE']", "2:12: error: 'SOFTWARE' is not a registry path: "},
      {"[keys]\nexclude = ['HKCU\\Software']", "2:12: error: 'HKCU\\Software' cannot be used: HKCU is another key for each user"},
      {"[images]\nexclude = ['C:\\Windows']", "2:12: error: 'C:\\Windows' has a drive letter"},
      {"[images]\nexclude = [\"\\\\Device\\new\"]", "2:12: error: '\\Device<U+000A>ew' has a control character, which no path has; in \"...\" a backslash begins an escape"},
  });
}

TEST(filter_errors, what_is_there_twice) {
  expect_each({
      {"types = [\"image\", \"image\"]", "1:19: error: 'image' is in this list already"},
      {"types = [\"process\", \"process_create\"]", "1:21: error: 'process_create' is in this list already"},
      {"[processes]\nexclude = [5,\n 5]", "3:2: error: process 5 is in this list already, in line 2"},
      {"[keys]\nexclude = ['\\REGISTRY\\MACHINE\\X',\n 'hklm\\x\\']", "3:2: error: '\\REGISTRY\\MACHINE\\x' is in this list already, in line 2"},
      {"[images]\ninclude = ['/usr/bin',\n '/USR/bin/']", "3:2: error: '/USR/bin' is in this list already, in line 2"},
      {"[[type_rate]]\ntypes = [\"registry\"]\nper_second = 5\n[[type_rate]]\ntypes = [\"registry_set_value\"]\nper_second = 6",
       "5:10: error: registry_set_value has a rate already"},
  });
}

TEST(filter_errors, what_contradicts_itself) {
  expect_each({
      {"types = []", "1:9: error: an empty list of types: name one at least"},
      {"[keys]\ninclude = []", "2:11: error: an empty keys.include would let nothing through"},
      {"[processes]\ninclude = []", "2:11: error: an empty processes.include would let nothing through"},
      {"[processes]\ninclude = [5]\nexclude = [{pid = 5, descendants = false}]", "3:12: error: process 5 is both included (line 2) and excluded"},
      {"[keys]\ninclude = ['HKLM\\A']\nexclude = ['HKLM\\a']", "3:12: error: '\\REGISTRY\\MACHINE\\a' is both included (line 2) and excluded"},
      {"[[type_rate]]\ntypes = [\"image\"]\nper_second = 0\nburst = 10", "3:14: error: 0 events a second, but a burst"},
      {"[process_rate]\nper_second = 0", "2:14: error: 0 events a second: "},
      {"[repeats]\nwindow = \"5s\"", "1:1: error: [repeats] does not say for which events: types = "},
      {"[repeats]\ntypes = [\"image\"]", "1:1: error: [repeats] does not say within what time"},
      {"[[type_rate]]\nper_second = 5", "1:1: error: [[type_rate]] does not say for which events"},
      {"[[type_rate]]\ntypes = [\"image\"]\nburst = 5", "1:1: error: [[type_rate]] does not say how many events a second"},
      {"[process_rate]\ntypes = [\"image\"]", "1:1: error: [process_rate] does not say how many events a second"},
      {"[processes]\ninclude = [{descendants = false}]", "2:12: error: this rule of processes.include names no process"},
  });
}

TEST(filter_errors, all_of_a_file_are_listed_in_its_order) {
  const filter_from_text filter(R"(types = ["proces", 7]
colour = "red"
[keys]
include = ['SOFTWARE', 'HKLM\A', 'HKLM\A']
[repeats]
window = 1
)");
  expect_lines(filter, {"1:10: error: 'proces'", "1:20: error: types is a list of strings", "2:1: error: 'colour'",
                        "4:12: error: 'SOFTWARE'", "4:34: error: '\\REGISTRY\\MACHINE\\A' is in this list already",
                        "5:1: error: [repeats] does not say for which", "6:10: error: repeats.window"});
}

TEST(filter_errors, there_is_an_end_to_what_is_listed) {
  std::string text = "[processes]\nexclude = [";
  for (int i = 0; i < 1000; ++i) text += "-1,";
  const filter_from_text filter(text + "]");
  EXPECT_EQ(filter.found.errors(), 1000u);
  EXPECT_EQ(filter.lines().size(), diagnostics::most_kept + 1);
  EXPECT_EQ(filter.lines().back(), " and 900 more of these");
}

TEST(filter_errors, columns_count_characters_not_bytes) {
  expect_each({{"[images]\nexclude = ['/\xc3\xa4\xe4\xb8\xad\xf0\x9f\x98\x80', 'x']", "2:20: error: 'x' is not an absolute path"}});
}

TEST(filter_errors, the_place_where_text_stops_being_utf8) {
  EXPECT_FALSE(invalid_utf8("\xc3\xa4 fine\n"));
  const auto place = invalid_utf8("\xc3\xa4\n\xf0\x9f\x98\x80\xc3\xa4\xff");
  ASSERT_TRUE(place.has_value());
  EXPECT_EQ(place->line, 2u);
  EXPECT_EQ(place->column, 3u);
  EXPECT_EQ(invalid_utf8("\xc3")->column, 1u);
}

TEST(filter_errors, a_filter_that_is_too_large_is_refused_where_it_becomes_too_large) {
  std::string text = "[processes]\nexclude = [\n";
  for (uint32_t i = 1; i <= max_filter_processes + 1; ++i) text += std::to_string(i * 4 + 100) + ",\n";
  expect_lines(filter_from_text(text + "]"), {"4099:1: error: 4097 processes are too many: a filter has 4096 at most"});

  text = "[keys]\nexclude = [\n";
  for (uint32_t i = 0; i <= max_filter_paths; ++i) text += fmt::format("'HKLM\\{}',\n", i);
  expect_lines(filter_from_text(text + "]"), {"65539:1: error: 65537 keys are too many: a filter has 65536 at most"});

  text = "[keys]\nexclude = [\n";
  for (uint32_t i = 0; i < 20'000; ++i) text += fmt::format("'HKLM\\{:0100}',\n", i);
  const std::vector<std::string> lines = filter_from_text(text + "]").lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines.front().find(":1: error: the filter is too large from here on: "), std::string::npos) << lines.front();
  EXPECT_GT(std::stoi(lines.front()), 10'000) << "the line";
}

}  // namespace
}  // namespace sluice::filter
