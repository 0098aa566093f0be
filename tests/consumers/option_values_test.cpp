#include "consumers/tool/option_values.h"

#include <gtest/gtest.h>

#include "consumers/stream_clock.h"

#include "producers/events.h"

namespace sluice::tool {
namespace {

using namespace std::chrono_literals;

TEST(duration_option, takes_a_number_and_a_unit) {
  EXPECT_EQ(parse_duration("10s").result, duration_limit(10s));
  EXPECT_EQ(parse_duration("500ms").result, duration_limit(500ms));
  EXPECT_EQ(parse_duration("2m").result, duration_limit(2min));
  EXPECT_EQ(parse_duration("1h").result, duration_limit(1h));
  EXPECT_EQ(parse_duration("1.5s").result, duration_limit(1500ms));
  EXPECT_EQ(parse_duration("7us").result, duration_limit(7us));
}

TEST(duration_option, nothing_and_forever_have_no_limit) {
  for (const char* text : {"0", "0s", "forever"}) {
    const auto parsed = parse_duration(text);
    ASSERT_TRUE(parsed.result.has_value()) << text;
    EXPECT_FALSE(parsed.result->has_value()) << text;
  }
}

TEST(duration_option, says_what_is_wrong) {
  for (const char* text : {"", "10", "s", "10 s", "10x", "-1s", "1e3s", "10s ", "nan", "inf", "0.1ns", "99999999999h", "10ss"}) {
    const auto parsed = parse_duration(text);
    EXPECT_FALSE(parsed.result.has_value()) << text;
    EXPECT_NE(parsed.error.find("'" + std::string(text) + "'"), std::string::npos) << parsed.error;
  }
}

TEST(ring_size_option, takes_powers_of_two) {
  EXPECT_EQ(parse_ring_size("1MiB").result, 1u << 20);
  EXPECT_EQ(parse_ring_size("64KiB").result, 64u << 10);
  EXPECT_EQ(parse_ring_size("4096").result, 4096u);
  EXPECT_EQ(parse_ring_size("1GiB").result, 1u << 30);
}

TEST(ring_size_option, says_what_is_wrong) {
  for (const char* text : {"", "MiB", "1MB", "1 MiB", "-1MiB", "0", "2048", "2GiB", "1048577", "3MiB", "18446744073709551616",
                           "99999999999999GiB", "1.5MiB"}) {
    const auto parsed = parse_ring_size(text);
    EXPECT_FALSE(parsed.result.has_value()) << text;
    EXPECT_NE(parsed.error.find("'" + std::string(text) + "'"), std::string::npos) << parsed.error;
  }
  EXPECT_EQ(parse_ring_size("3MiB").error, "'3MiB' is 3145728 bytes, not a power of two; 2097152 and 4194304 are");
}

TEST(format_option, knows_two) {
  EXPECT_EQ(parse_format("text").result, output_format::text);
  EXPECT_EQ(parse_format("jsonl").result, output_format::jsonl);
  EXPECT_EQ(parse_format("xml").error, "'xml' is not a format: text or jsonl");
}

TEST(transport_option, knows_four) {
  EXPECT_EQ(parse_transport("automatic").result, transport::automatic);
  EXPECT_EQ(parse_transport("port").result, transport::port);
  EXPECT_EQ(parse_transport("ioctl").result, transport::ioctl);
  EXPECT_EQ(parse_transport("mapping").result, transport::mapping);
  for (const char* wrong : {"", "Port", "tcp"}) {
    EXPECT_FALSE(parse_transport(wrong).result) << wrong;
    EXPECT_EQ(parse_transport(wrong).error, "'" + std::string(wrong) + "' is not a transport: automatic, port, ioctl or mapping");
  }
}

TEST(types_option, takes_a_list_of_names) {
  EXPECT_EQ(parse_types("process").result, std::vector<std::string>({"process"}));
  EXPECT_EQ(parse_types("image,registry_set_value,my-own.type").result,
            std::vector<std::string>({"image", "registry_set_value", "my-own.type"}));
}

TEST(types_option, says_which_word_is_no_name) {
  for (const char* text : {"", "process,", ",process", "process,,image", "process image", "pro\xc3\xa4",
                           "a_name_of_thirty_three_characters"}) {
    EXPECT_FALSE(parse_types(text).result.has_value()) << text;
  }
  EXPECT_EQ(parse_types("process,a b").error,
            "'a b' in 'process,a b' is not the name of an event type: names with commas between them, such as process,image");
}

TEST(option_values, a_source_is_a_word_or_a_kind_and_a_file) {
  EXPECT_EQ(parse_source("live").result->kind, source_kind::live);
  EXPECT_EQ(parse_source("file:/a:b").result->kind, source_kind::file);
  EXPECT_EQ(parse_source("file:/a:b").result->path, "/a:b");
  for (const char* wrong : {"", "file:", "file", "live:", "tape:x"}) EXPECT_FALSE(parse_source(wrong).result) << wrong;
}

TEST(option_values, an_order_is_strict_or_has_a_bound_of_whole_milliseconds) {
  EXPECT_EQ(parse_order("strict").result->bound_milliseconds, std::nullopt);
  EXPECT_EQ(parse_order("bounded:5ms").result->bound_milliseconds, 5u);
  EXPECT_EQ(parse_order("bounded:2s").result->bound_milliseconds, 2000u);
  for (const char* wrong : {"", "loose", "bounded", "bounded:", "bounded:5", "bounded:0", "bounded:forever", "bounded:1500us", "bounded:6s"}) {
    EXPECT_FALSE(parse_order(wrong).result) << wrong;
  }
}

TEST(option_values, a_moment_is_utc_or_a_distance) {
  EXPECT_EQ(parse_moment("1601-01-01T00:00:01Z").result->value, 10'000'000u);
  EXPECT_FALSE(parse_moment("1601-01-01T00:00:01Z").result->relative);
  EXPECT_EQ(parse_moment("1601-01-02T00:00:00.0000001Z").result->value, 864'000'000'001u);
  EXPECT_EQ(parse_moment("2026-11-21T04:30:00.5Z").result->value, parse_moment("2026-11-21T04:30:00Z").result->value + 5'000'000);
  EXPECT_TRUE(parse_moment("+10s").result->relative);
  EXPECT_EQ(parse_moment("+10s").result->value, 100'000'000u);
  for (const char* wrong : {"", "+", "10s", "+10", "2026-11-21", "2026-11-21T04:30:00", "2026-02-30T00:00:00Z", "2026-11-21T24:00:00Z",
                            "2026-11-21T04:60:00Z", "1600-01-01T00:00:00Z", "2026-11-21T04:30:00.Z", "2026-11-21T04:30:00.12345678Z",
                            "2026-11-21T04:30:00.1x"}) {
    EXPECT_FALSE(parse_moment(wrong).result) << wrong;
  }
}

TEST(option_values, what_is_written_as_a_moment_is_read_as_the_same) {
  for (const uint64_t utc : {uint64_t{0}, uint64_t{134'000'000'000'000'001}, uint64_t{125'911'584'000'000'000}}) {
    EXPECT_EQ(parse_moment(iso8601(utc)).result->value, utc) << iso8601(utc);
  }
}

}  // namespace
}  // namespace sluice::tool
