// What holds for any value of a filter file.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "consumers/filter/values.h"
#include "producers/filter_validation.h"
#include "tests/consumers/filter_support.h"

namespace sluice::filter {
namespace {

constexpr uint64_t second = 1'000'000'000;

RC_GTEST_PROP(filter_interval, what_is_shown_is_read_as_the_same, ()) {
  const uint64_t unit = *rc::gen::element<uint64_t>(1, 1'000, 1'000'000, second, 60 * second, 3600 * second);
  const uint64_t value = unit * *rc::gen::inRange<uint64_t>(1, 86400 * second / unit + 1);
  RC_ASSERT(parse_interval(show_interval(value)).result == value);
}

// As exact as it is written: whatever the digits are, the value is theirs or there is none.
RC_GTEST_PROP(filter_interval, fractions_are_exact, ()) {
  const uint64_t nanoseconds = *rc::gen::inRange<uint64_t>(1, 3600 * second);
  const std::string digits = std::to_string(second + nanoseconds % second).substr(1);
  RC_ASSERT(parse_interval(std::to_string(nanoseconds / second) + "." + digits + "s").result == nanoseconds);
}

RC_GTEST_PROP(filter_interval, any_text_is_a_time_or_an_error, (const std::string& text)) {
  const parsed<uint64_t> value = parse_interval(text);
  RC_ASSERT(value.result.has_value() == value.error.empty());
  if (value.result) RC_ASSERT(*value.result > 0 && *value.result <= 86400 * second);
}

RC_GTEST_PROP(filter_key, any_text_is_a_key_or_an_error, (const std::string& text)) {
  const std::string written = *rc::gen::element<std::string>("", "\\REGISTRY\\", "HKLM\\") + text;
  const parsed<std::u16string> key = parse_key(written);
  RC_ASSERT(key.result.has_value() == key.error.empty());
  if (!key.result) return;
  RC_ASSERT(key.result->substr(0, 9).size() == 9u);
  RC_ASSERT(key.result->back() != u'\\');
  RC_ASSERT(key.result->find(u"\\\\") == std::u16string::npos);
  RC_ASSERT(key.result->find(u'\0') == std::u16string::npos);
}

// Files put together of parts that are right, and of some that are not.
using words = std::vector<std::string>;

bool one_in(int n) { return *rc::gen::inRange(0, n) == 0; }

std::string any_of(const words& from) { return from[*rc::gen::inRange<size_t>(0, from.size())]; }

std::string any_list(const words& right, const words& wrong) {
  words chosen;
  for (const std::string& word : right) {
    if (one_in(3)) chosen.push_back(word);
  }
  if (chosen.empty() && !one_in(20)) chosen.push_back(any_of(right));
  if (one_in(20)) chosen.push_back(any_of(wrong));
  return fmt::format("[{}]\n", fmt::join(chosen, ", "));
}

std::string any_types() {
  return "types = " + any_list({"'process'", "'thread_exit'", "'registry'", "'own'", "'image'"}, {"'imaeg'", "7", "'heartbeat'", "'image'"});
}

// What is included is not excluded as well, but for what is wrong.
std::string any_rules(const char* table, const words& include, const words& exclude, const words& wrong) {
  std::string text = fmt::format("[{}]\n", table);
  if (!one_in(3)) text += "include = " + any_list(include, wrong);
  if (!one_in(3)) text += "exclude = " + any_list(exclude, wrong);
  return text;
}

std::string any_rate(const char* table) {
  std::string text = fmt::format("{}\n", table);
  if (!one_in(20)) text += any_types();
  text += fmt::format("per_second = {}\n", one_in(20) ? *rc::gen::element(0, 10'000'001) : *rc::gen::element(1, 1000, 10'000'000));
  if (one_in(2)) text += fmt::format("burst = {}\n", one_in(20) ? *rc::gen::element(0, 1'000'001) : *rc::gen::element(1, 1'000'000));
  return text;
}

std::string any_file() {
  std::string text;
  if (one_in(3)) text += any_types();
  if (one_in(3)) text += any_rules("processes", {"4", "5", "268435455"}, {"6", "{pid = 7, descendants = false}", "{pid = 0, descendants = false}"}, {"5", "-1", "0"});
  if (one_in(3)) {
    text += any_rules("images", {"'/usr'", "'\\Device\\A'", "'/\xc3\xa4'"}, {"'/usr/bin/'", "'\\??\\C:\\x'", "'/\xc3\xb6'"},
                      {"'C:\\x'", "'//'", "'\\device\\a'", "'/\xc3\x84'"});
  }
  if (one_in(3)) {
    text += any_rules("keys", {"'HKLM\\A'", "'\\REGISTRY\\USER\\'", "'HKU\\A\\B'"}, {"'\\REGISTRY'", "'HKU\\A'", "'\\registry\\machine\\a\\b'"},
                      {"'HKCU\\A'", "'hklm\\a'", "'\\REGISTRY\\\\A'"});
  }
  if (one_in(3)) text += "[repeats]\n" + any_types() + *rc::gen::element<std::string>("window = '5s'\n", "window = '1ms'\n", "window = '1h'\n");
  if (one_in(3)) text += any_rate("[[type_rate]]");
  if (one_in(9)) text += any_rate("[[type_rate]]");
  if (one_in(3)) text += any_rate("[process_rate]");
  return text;
}

RC_GTEST_PROP(filter_file, what_is_not_refused_here_is_not_refused_by_the_driver, ()) {
  const std::string text = any_file();
  RC_LOG() << text;
  const test::filter_from_text filter(text);
  RC_CLASSIFY(filter.found.errors() != 0, "wrong");
  RC_CLASSIFY(filter.message.has_value(), "sent");
  RC_ASSERT(!(filter.message && filter.found.errors() != 0));
  if (filter.found.errors() == 0) RC_ASSERT(filter.message.has_value() == !filter.rules.empty());
  if (!filter.message) return;
  const filter_check driver = validate_filter(filter.message->bytes.data(), static_cast<uint32_t>(filter.message->bytes.size()));
  RC_LOG() << name_of(driver.error) << ", offset " << driver.offset;
  RC_ASSERT(driver.error == filter_error::none);
  RC_ASSERT(!describe(filter.rules, filter.names).empty());
}

}  // namespace
}  // namespace sluice::filter
