// The message to the driver says what the file says: it is read again here, byte by byte as its header describes it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "producers/filter_validation.h"
#include "tests/consumers/filter_support.h"

namespace sluice::filter {
namespace {

using test::expect_lines;
using test::filter_from_text;

template <class layout>
layout at(const std::vector<uint8_t>& bytes, size_t offset) {
  layout value{};
  EXPECT_LE(offset + sizeof value, bytes.size());
  if (offset + sizeof value <= bytes.size()) std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

using path_map = std::map<std::u16string, bool>;  // path to whether it is excluded

path_map paths_of(const std::vector<uint8_t>& bytes, const filter_table& table) {
  path_map paths;
  EXPECT_EQ(table.offset % 8, 0u);
  for (uint32_t i = 0; i < table.count; ++i) {
    const auto entry = at<filter_path>(bytes, table.offset + i * sizeof(filter_path));
    EXPECT_EQ(entry.offset % 2, 0u);
    EXPECT_LE(entry.offset + entry.length, bytes.size());
    std::u16string text(entry.length / 2, u'\0');
    std::memcpy(text.data(), bytes.data() + entry.offset, entry.length);
    EXPECT_TRUE(paths.emplace(text, (entry.flags & filter_rule_exclude) != 0).second);
  }
  return paths;
}

filter_header header_of(const filter_from_text& filter) {
  EXPECT_TRUE(filter.message.has_value());
  for (const std::string& line : filter.lines()) EXPECT_NE(line.find("warning"), std::string::npos) << line;
  if (!filter.message) return {};
  const auto header = at<filter_header>(filter.message->bytes, 0);
  EXPECT_EQ(header.magic, filter_magic);
  EXPECT_EQ(header.version, filter_version);
  EXPECT_EQ(header.header_bytes, sizeof(filter_header));
  EXPECT_EQ(header.total_bytes, filter.message->bytes.size());
  const filter_check driver = validate_filter(filter.message->bytes.data(), header.total_bytes);
  EXPECT_EQ(driver.error, filter_error::none) << name_of(driver.error) << ", offset " << driver.offset;
  return header;
}

TEST(filter_message, a_file_that_changes_nothing_is_no_filter) {
  for (const char* text :
       {"", "# nothing\n\n", "[keys]", "[images]\nexclude = []", "[processes]",
        "types = [\"process\", \"thread\", \"image\", \"registry\", \"own\"]"}) {
    const filter_from_text filter(text);
    EXPECT_EQ(filter.found.errors(), 0u) << text;
    EXPECT_FALSE(filter.message.has_value()) << text;
    EXPECT_TRUE(describe(filter.rules, filter.names).empty()) << text;
  }
}

TEST(filter_message, types) {
  const filter_header header = header_of(filter_from_text("types = [\"process\", \"registry_set_value\", \"heartbeat\"]"));
  EXPECT_EQ(header.types & all_events, bit_of(event_type_process_create) | bit_of(event_type_process_exit) |
                                           bit_of(event_type_registry_set_value) | bit_of(40));
  EXPECT_EQ(header.types & ~all_events, ~all_events) << "what carries the stream always stays";
  EXPECT_EQ(header.processes.count + header.images.count + header.keys.count + header.type_rates.count, 0u);
}

TEST(filter_message, processes) {
  const filter_from_text filter(R"(
[processes]
types = ["image"]
include = [4711, {pid = 812, descendants = false}]
exclude = [{pid = 0, descendants = false}]
)");
  const filter_header header = header_of(filter);
  EXPECT_EQ(header.process_types, bit_of(event_type_image_load));
  ASSERT_EQ(header.processes.count, 3u);
  std::map<uint32_t, uint32_t> rules;
  for (uint32_t i = 0; i < 3; ++i) {
    const auto rule = at<filter_process>(filter.message->bytes, header.processes.offset + i * sizeof(filter_process));
    rules[rule.pid] = rule.flags;
  }
  EXPECT_EQ(rules, (std::map<uint32_t, uint32_t>{{0, filter_rule_exclude}, {812, 0}, {4711, filter_rule_descendants}}));
  EXPECT_EQ(header.types, ~uint64_t{0});
}

TEST(filter_message, rules_about_processes_are_for_every_event_unless_types_are_named) {
  EXPECT_EQ(header_of(filter_from_text("[processes]\nexclude = [5]")).process_types, ~uint64_t{0});
}

TEST(filter_message, paths) {
  const filter_from_text filter(R"(
[images]
include = ['\Device\HarddiskVolume3\Windows', '/usr/bin/']
exclude = ['\Device\HarddiskVolume3\Windows\Temp']
[keys]
exclude = ['HKLM\SOFTWARE\A', '\REGISTRY\USER\ä']
include = ['HKLM\SOFTWARE']
)");
  const filter_header header = header_of(filter);
  EXPECT_EQ(paths_of(filter.message->bytes, header.images),
            (path_map{{u"\\Device\\HarddiskVolume3\\Windows", false}, {u"/usr/bin", false}, {u"\\Device\\HarddiskVolume3\\Windows\\Temp", true}}));
  EXPECT_EQ(paths_of(filter.message->bytes, header.keys),
            (path_map{{u"\\REGISTRY\\MACHINE\\SOFTWARE\\A", true}, {u"\\REGISTRY\\USER\\\u00e4", true}, {u"\\REGISTRY\\MACHINE\\SOFTWARE", false}}));
}

TEST(filter_message, repeats_and_rates) {
  const filter_from_text filter(R"(
[repeats]
types = ["image", "registry_open_key"]
window = "1.5s"
[[type_rate]]
types = ["thread"]
per_second = 1000
burst = 50
[[type_rate]]
types = ["heartbeat"]
per_second = 2000000
[process_rate]
types = ["registry"]
per_second = 7
)");
  const filter_header header = header_of(filter);
  EXPECT_EQ(header.repeat_types, bit_of(event_type_image_load) | bit_of(event_type_registry_open_key));
  EXPECT_EQ(header.repeat_window_ms, 1500u);
  EXPECT_EQ(header.process_rate_types, uint64_t{0x3f} << event_type_registry_create_key);
  EXPECT_EQ(header.process_rate.events_per_second, 7u);
  EXPECT_EQ(header.process_rate.burst, 7u) << "a second's worth";
  ASSERT_EQ(header.type_rates.count, 3u);
  std::map<uint16_t, std::pair<uint32_t, uint32_t>> rates;
  for (uint32_t i = 0; i < 3; ++i) {
    const auto entry = at<filter_type_rate>(filter.message->bytes, header.type_rates.offset + i * sizeof(filter_type_rate));
    rates[entry.type] = {entry.rate.events_per_second, entry.rate.burst};
  }
  EXPECT_EQ(rates, (std::map<uint16_t, std::pair<uint32_t, uint32_t>>{{event_type_thread_create, {1000, 50}},
                                                                      {event_type_thread_exit, {1000, 50}},
                                                                      {40, {2'000'000, max_burst}}}));
}

TEST(filter_message, a_rate_of_each_process_is_for_every_event_unless_types_are_named) {
  EXPECT_EQ(header_of(filter_from_text("[process_rate]\nper_second = 5")).process_rate_types, ~uint64_t{0});
}

TEST(filter_message, as_much_as_the_driver_takes) {
  std::string text = "[processes]\nexclude = [";
  for (uint32_t i = 0; i < max_filter_processes; ++i) text += fmt::format("{},", max_filter_process_id - i);
  text += "]\n[keys]\nexclude = [";
  for (uint32_t i = 0; i < max_filter_paths; ++i) text += fmt::format("'HKU\\{:x}',", i);
  text += "]\n[[type_rate]]\ntypes = ['process', 'thread', 'image', 'registry', 'own']\nper_second = 10000000\nburst = 1000000\n";
  text += "[repeats]\ntypes = ['own']\nwindow = '1h'\n";
  const filter_from_text filter(text);
  const filter_header header = header_of(filter);
  EXPECT_EQ(header.processes.count, max_filter_processes);
  EXPECT_EQ(header.keys.count, max_filter_paths);
  EXPECT_EQ(header.type_rates.count, 11u + 32u);
  EXPECT_EQ(header.repeat_window_ms, max_repeat_window_ms);
}

TEST(filter_message, tells_where_in_the_file_its_parts_come_from) {
  const filter_from_text filter("[processes]\nexclude = [5,\n 6]\n[keys]\nexclude = ['HKLM\\A',\n 'HKLM\\B']\n");
  const filter_header header = header_of(filter);
  const auto place = [&](uint32_t offset) { return filter.message->place_of(offset); };
  EXPECT_EQ(place(0).line, 0u);
  EXPECT_EQ(place(header.processes.offset + sizeof(filter_process)).line, 3u);
  EXPECT_EQ(place(header.keys.offset + sizeof(filter_path)).line, 6u);
  const auto first = at<filter_path>(filter.message->bytes, header.keys.offset);
  EXPECT_EQ(place(first.offset).line, 5u);
  EXPECT_EQ(place(first.offset + first.length - 1).line, 5u);
}

TEST(filter_warnings, what_never_applies_or_changes_nothing) {
  const struct {
    const char* text;
    std::vector<std::string> said;
  } files[] = {
      {"types = [\"image\"]\n[keys]\nexclude = ['HKLM\\A']", {"3:12: warning: these keys never apply: types has none of registry"}},
      {"types = [\"registry\"]\n[images]\nexclude = ['/bin']", {"3:12: warning: these images never apply"}},
      {"types = [\"image\"]\n[repeats]\ntypes = [\"thread\"]\nwindow = \"1s\"", {"3:9: warning: this never applies: repeats is about thread"}},
      {"types = [\"image\"]\n[[type_rate]]\ntypes = [\"thread\"]\nper_second = 1", {"3:10: warning: this never applies"}},
      {"types = [\"image\"]\n[process_rate]\ntypes = [\"thread\"]\nper_second = 1", {"3:9: warning: this never applies"}},
      {"types = [\"image\"]\n[processes]\ntypes = [\"thread\"]\nexclude = [5]", {"3:9: warning: this never applies"}},
      {"[keys]\nexclude = ['HKLM\\A', 'HKLM\\A\\B']", {"2:22: warning: '\\REGISTRY\\MACHINE\\A\\B' changes nothing: '\\REGISTRY\\MACHINE\\A', in line 2, says the same"}},
      {"[keys]\ninclude = ['HKLM\\A']\nexclude = ['HKLM\\B']", {"3:12: warning: '\\REGISTRY\\MACHINE\\B' changes nothing: it is not below"}},
      {"[keys]\nexclude = ['HKLM\\SYSTEM\\CurrentControlSet']", {"2:12: warning: CurrentControlSet is a link"}},
      {"[processes]\nexclude = [4]", {"2:12: warning: on Windows every process descends from 4"}},
      {"[processes]\ntypes = [\"image\"]", {"1:1: warning: [processes] has neither include nor exclude"}},
      {"[keys]", {"1:1: warning: [keys] has neither include nor exclude"}},
      {"[keys]\nexclude = ['\\REGISTRY']", {"2:12: warning: every key begins with '\\REGISTRY'"}},
  };
  for (const auto& file : files) {
    SCOPED_TRACE(file.text);
    expect_lines(filter_from_text(file.text), file.said);
  }
}

TEST(filter_warnings, paths_that_only_look_alike_are_not_below_each_other) {
  expect_lines(filter_from_text("[keys]\nexclude = ['HKLM\\A', 'HKLM\\A B', 'HKLM\\AB', 'HKLM\\B\\C']\n"
                                "[images]\ninclude = ['/usr', '/opt/x']\nexclude = ['/usr/bin']"), {});
  expect_lines(filter_from_text("[keys]\ninclude = ['HKLM\\A', 'HKLM\\A\\B\\C']\nexclude = ['HKLM\\A\\B']"), {});
}

TEST(filter_warnings, a_slash_is_a_separator_in_the_path_of_an_image_and_a_letter_in_that_of_a_key) {
  expect_lines(filter_from_text("[keys]\nexclude = ['HKLM\\A', 'HKLM\\A/B', 'HKLM\\C\\D', 'HKLM\\C/D']"), {});
  expect_lines(filter_from_text("[images]\nexclude = ['/usr/sbin']"), {});  // as long as the root of all keys
  expect_lines(filter_from_text("[images]\nexclude = ['\\A', '\\A/B']"), {"2:18: warning: '\\A/B' changes nothing: '\\A', in line 2"});
}

TEST(filter_warnings, without_a_driver_unknown_names_are_taken_for_own_types) {
  const filter_from_text filter("types = [\"heartbeat\", \"proces\"]\n[[type_rate]]\ntypes=[\"heartbeat\"]\nper_second = 1", own_types::unknown);
  expect_lines(filter, {"1:10: warning: 'heartbeat' is no event of the library; taken for an own type",
                        "1:23: warning: 'proces' is no event of the library, is 'process' meant? taken for an own type"});
  EXPECT_EQ(describe(filter.rules, filter.names).front(), "types: only heartbeat, proces");

  std::string many = "types = [";
  for (int i = 0; i < 33; ++i) many += fmt::format("\"own{}\",", i);
  EXPECT_EQ(filter_from_text(many + "]", own_types::unknown).found.errors(), 1u) << "a driver has 32 own types";
}

TEST(filter_description, says_what_is_filtered) {
  const filter_from_text filter(R"(
types = ["process", "image", "registry"]
[processes]
include = [4711]
exclude = [{pid = 812, descendants = false}]
[keys]
exclude = ['HKLM\A', 'HKLM\B', 'HKLM\C', 'HKLM\D', 'HKLM\E', 'HKLM\F', 'HKLM\G']
[repeats]
types = ["image"]
window = "90s"
[[type_rate]]
types = ["image"]
per_second = 100
burst = 1000
[process_rate]
types = ["registry"]
per_second = 10
)");
  const std::vector<std::string> expected = {
      "types: only process, image, registry",
      "processes: only 4711 with its descendants; not 812 alone (asked of: every event)",
      "keys: all but \\REGISTRY\\MACHINE\\A, \\REGISTRY\\MACHINE\\B, \\REGISTRY\\MACHINE\\C, \\REGISTRY\\MACHINE\\D, "
      "\\REGISTRY\\MACHINE\\E and 2 more",
      "repeats: not within 90s of the same on its CPU (image)",
      "rate of image: 100 a second, at once 1000 at most, on each CPU",
      "rate of each process: 10 a second, at once 10 at most, on each CPU (registry)",
  };
  EXPECT_EQ(describe(filter.rules, filter.names), expected);
}

}  // namespace
}  // namespace sluice::filter
