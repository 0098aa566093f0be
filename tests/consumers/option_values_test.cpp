#include "consumers/tool/option_values.h"

#include <gtest/gtest.h>

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

TEST(types_option, takes_a_list) {
  EXPECT_EQ(parse_types("process").result, 1u << event_type_process_create | 1u << event_type_process_exit);
  EXPECT_EQ(parse_types("image,thread").result,
            1u << event_type_image_load | 1u << event_type_thread_create | 1u << event_type_thread_exit);
  EXPECT_EQ(*parse_types("own").result >> 32, 0xffffffffu);
  EXPECT_EQ(*parse_types("own").result & 0xffffffffu, 0u);
}

TEST(types_option, says_which_word_is_wrong) {
  for (const char* text : {"", "registry", "process,", ",process", "process,,image", "Process", "process image"}) {
    EXPECT_FALSE(parse_types(text).result.has_value()) << text;
  }
  EXPECT_EQ(parse_types("process,registry").error,
            "'registry' in 'process,registry' is not an event type: process, thread, image, own");
}

}  // namespace
}  // namespace sluice::tool
