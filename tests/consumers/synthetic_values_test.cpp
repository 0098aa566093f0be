#include "consumers/tool/synthetic_values.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice::tool {
namespace {

using namespace std::chrono_literals;
using rhythm_kind = enum rhythm_choice::kind;

// Each is refused, and the message has the text as it was given.
template <class function>
void expect_refused(function&& parse, std::initializer_list<const char*> texts) {
  for (const char* text : texts) {
    const auto parsed = parse(text);
    EXPECT_FALSE(parsed.result.has_value()) << text;
    EXPECT_NE(parsed.error.find("'" + std::string(text) + "'"), std::string::npos) << text << ": " << parsed.error;
  }
}

TEST(rate_option, takes_events_a_second_or_max) {
  EXPECT_EQ(parse_rate("10000").result, 10000.0);
  EXPECT_EQ(parse_rate("2.5e6").result, 2.5e6);
  EXPECT_EQ(parse_rate("0.001").result, 0.001);
  EXPECT_EQ(parse_rate("max").result, 0.0);
  expect_refused(&parse_rate, {"", "0", "-1", "1e10", "fast", "1 000", "10/s", "nan", "inf"});
}

TEST(share_option, takes_percent_or_a_fraction) {
  EXPECT_EQ(parse_share("25%").result, 0.25);
  EXPECT_EQ(parse_share("0.25").result, 0.25);
  EXPECT_EQ(parse_share("100%").result, 1.0);
  EXPECT_EQ(parse_share("0").result, 0.0);
  expect_refused(&parse_share, {"", "%", "101%", "1.01", "-1%", "half"});
}

TEST(rhythm_option, takes_each_kind_with_what_belongs_to_it) {
  EXPECT_EQ(parse_rhythm("steady").result.value().kind, rhythm_kind::steady);
  EXPECT_EQ(parse_rhythm("poisson").result.value().kind, rhythm_kind::poisson);
  const rhythm_choice bursts = parse_rhythm("bursts:200ms:10%").result.value();
  EXPECT_EQ(bursts.kind, rhythm_kind::bursts);
  EXPECT_EQ(bursts.period, 200'000'000u);
  EXPECT_EQ(bursts.share, 0.1);
  const rhythm_choice recording = parse_rhythm("recording:a:b.jsonl.gz").result.value();
  EXPECT_EQ(recording.kind, rhythm_kind::recording);
  EXPECT_EQ(recording.path, "a:b.jsonl.gz");
  expect_refused(&parse_rhythm, {"", "bursts", "bursts:", "bursts:1s", "bursts:0:10%", "bursts:1us:10%", "bursts:1s:0", "recording:", "Steady"});
  EXPECT_NE(parse_rhythm("bursts:soon:10%").error.find("'soon'"), std::string::npos) << "the part that is wrong is named";
  EXPECT_NE(parse_rhythm("bursts:1s:much").error.find("'much'"), std::string::npos);
}

TEST(rhythm_option, becomes_the_rhythm_that_it_names) {
  const auto of = [](const char* text) { return make_rhythm(parse_rhythm(text).result.value()); };
  EXPECT_EQ(of("steady").levels, synthetic::steady().levels);
  EXPECT_FALSE(of("steady").random_gaps);
  EXPECT_TRUE(of("poisson").random_gaps);
  EXPECT_EQ(of("bursts:1s:10%").levels, synthetic::bursts(1'000'000'000, 0.1).levels);
  EXPECT_NE(of("bursts:1s:10%").levels, of("steady").levels);
  EXPECT_ANY_THROW(of("recording:/nonexistent.jsonl.gz"));
}

TEST(sizes_option, takes_bytes_a_range_or_what_was_recorded) {
  const auto fixed = parse_sizes("64").result.value();
  EXPECT_EQ(fixed.least, 64u);
  EXPECT_EQ(fixed.most, 64u);
  const auto range = parse_sizes("16-512").result.value();
  EXPECT_EQ(range.least, 16u);
  EXPECT_EQ(range.most, 512u);
  EXPECT_FALSE(range.as_recorded);
  EXPECT_TRUE(parse_sizes("recorded").result.value().as_recorded);
  expect_refused(&parse_sizes, {"", "-", "64-", "-64", "512-16", "32001", "16-40000", "large"});
}

}  // namespace
}  // namespace sluice::tool
