// What holds for any value of a filter file.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "consumers/filter/values.h"

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

}  // namespace
}  // namespace sluice::filter
