#include "consumers/utf16.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice {
namespace {

std::vector<uint8_t> little_endian(const std::u16string& text) {
  std::vector<uint8_t> out;
  for (const char16_t unit : text) {
    out.push_back(static_cast<uint8_t>(unit));
    out.push_back(static_cast<uint8_t>(unit >> 8));
  }
  return out;
}
std::string utf8(const std::u16string& text) { return to_utf8(little_endian(text)); }
std::string text(const std::u16string& s) {
  std::string out;
  append_text(out, little_endian(s));
  return out;
}
std::string json(const std::u16string& s) {
  std::string out;
  append_json(out, little_endian(s));
  return out;
}

constexpr char16_t lead = 0xd83d, trail = 0xde00;
const std::u16string smile{lead, trail};

TEST(utf16, converts_every_length_of_utf8) {
  EXPECT_EQ(utf8(u"aä€" + smile), "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_EQ(utf8(u""), "");
}

TEST(utf16, the_ends_of_the_ranges_are_right) {
  EXPECT_EQ(utf8({0x7f}), "\x7f");
  EXPECT_EQ(utf8({0x80}), "\xc2\x80");
  EXPECT_EQ(utf8({0x7ff}), "\xdf\xbf");
  EXPECT_EQ(utf8({0x800}), "\xe0\xa0\x80");
  EXPECT_EQ(utf8({0xd7ff}), "\xed\x9f\xbf");
  EXPECT_EQ(utf8({0xe000}), "\xee\x80\x80");
  EXPECT_EQ(utf8({0xffff}), "\xef\xbf\xbf");
  EXPECT_EQ(utf8({0xd800, 0xdc00}), "\xf0\x90\x80\x80");
  EXPECT_EQ(utf8({0xdbff, 0xdfff}), "\xf4\x8f\xbf\xbf");
}

TEST(utf16, an_unpaired_surrogate_becomes_the_replacement_character_in_text) {
  const std::string fffd = "\xef\xbf\xbd";
  EXPECT_EQ(utf8({lead}), fffd);
  EXPECT_EQ(utf8({trail}), fffd);
  EXPECT_EQ(utf8({u'a', lead, u'b'}), "a" + fffd + "b");
  EXPECT_EQ(utf8({trail, lead}), fffd + fffd);
  EXPECT_EQ(utf8(std::u16string{lead} + smile), fffd + "\xf0\x9f\x98\x80") << "the second lead has its partner";
  EXPECT_EQ(text({u'a', lead}), "a" + fffd);
}

TEST(utf16, an_unpaired_surrogate_is_kept_in_json) {
  EXPECT_EQ(json({u'a', lead, u'b'}), "a\\ud83db");
  EXPECT_EQ(json({trail, lead}), "\\ude00\\ud83d");
  EXPECT_EQ(json(smile), "\xf0\x9f\x98\x80");
}

TEST(utf16, an_odd_byte_is_not_lost_silently) {
  const std::vector<uint8_t> odd = {'a', 0, 'b'};
  EXPECT_EQ(to_utf8(odd), "a\xef\xbf\xbd");
}

TEST(utf16, text_carries_nothing_that_acts_on_a_terminal_or_a_line) {
  EXPECT_EQ(text(u"a\nb\r\tc"), "a<U+000A>b<U+000D><U+0009>c");
  EXPECT_EQ(text(u"\x1b[2J"), "<U+001B>[2J");
  EXPECT_EQ(text(std::u16string(1, u'\0')), "<U+0000>");
  EXPECT_EQ(text({0x7f, 0x85, 0x9b}), "<U+007F><U+0085><U+009B>");
  EXPECT_EQ(text({0x2028, 0x2029}), "<U+2028><U+2029>");
  EXPECT_EQ(text({u'a', 0x202e, u'b'}), "a<U+202E>b") << "right-to-left override: exe.txt shown as txt.exe";
  EXPECT_EQ(text({0x2066, 0x200f, 0xfeff}), "<U+2066><U+200F><U+FEFF>");
}

TEST(utf16, text_cannot_end_its_own_quotes) { EXPECT_EQ(text(u"a\" pid=\"1"), "a\"\" pid=\"\"1"); }

TEST(utf16, json_escapes_what_it_must_and_what_acts_on_a_terminal) {
  EXPECT_EQ(json(u"\"\\\n\r\t\x1b"), "\\\"\\\\\\n\\r\\t\\u001b");
  EXPECT_EQ(json({0, 0x7f, 0x9b, 0x2028, 0x202e}), "\\u0000\\u007f\\u009b\\u2028\\u202e");
}

// What a JSON parser makes of each escape must be the unit that went in: every unit, alone and between letters.
TEST(utf16, every_unit_survives_json) {
  for (uint32_t unit = 0; unit <= 0xffff; ++unit) {
    const std::string out = json({u'<', static_cast<char16_t>(unit), u'>'});
    ASSERT_EQ(out.front(), '<');
    ASSERT_EQ(out.back(), '>');
    const std::string body = out.substr(1, out.size() - 2);
    for (const char c : body) ASSERT_GE(static_cast<unsigned char>(c), 0x20u);
    if (unit >= 0xd800 && unit <= 0xdfff) {
      char expected[7];
      std::snprintf(expected, sizeof expected, "\\u%04x", unit);
      ASSERT_EQ(body, expected);
    }
  }
}

}  // namespace
}  // namespace sluice
