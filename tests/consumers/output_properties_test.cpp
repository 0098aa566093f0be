// What holds for the lines that the sinks write, whatever the names in the records are: a name is chosen by whoever makes the file, the
// process or the key. JSON is read back by simdjson, and where a name is no valid UTF-16, which simdjson refuses, by a reader of its own.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <simdjson.h>
#include <utf8.h>

#include <charconv>
#include <optional>

#include "consumers/jsonl_sink.h"
#include "consumers/text_sink.h"
#include "tests/consumers/batch_builder.h"

namespace sluice {
namespace {

using namespace test;

// Units that mean something to a terminal, a line, a quoted string, a log or a decoder; and any other.
std::u16string any_name(bool valid) {
  static const std::vector<std::u16string> parts = {
      u"\"", u"\"\"", u"\\", u"\\u0041", u"\\\\", u"/", u"'", u"`", u"$(", u"%s%n", u"{}", u"{0}", u"<U+001B>", u" pid=1", u"\",\"pid\":\"1", u"\n", u"\r\n", u"\t",
      u"\x1b[2J", u"\x1b]0;x\x07", u"\x7f", u"\x85", u"\x9b", u"\u2028", u"\u2029", u"\u202e", u"\u2066", u"\u200f", u"\ufeff", u"\ufffe", u"\uffff",
      u"\U0001f600", u"\U0010ffff", u"\u0301", u"a", u"\\Device\\", u"\u00e4", u"\u20ac", std::u16string(1, u'\0')};
  static const std::vector<std::u16string> halves = {{char16_t{0xd800}}, {char16_t{0xdbff}}, {char16_t{0xdc00}}, {char16_t{0xdfff}}};
  std::u16string name;
  for (int i = *rc::gen::inRange(0, 12); i > 0; --i) {
    switch (*rc::gen::inRange(0, valid ? 4 : 5)) {
      case 0: name += static_cast<char16_t>(*rc::gen::inRange(0, 0xd800)); break;
      case 1: name += static_cast<char16_t>(*rc::gen::inRange(0xe000, 0x10000)); break;
      case 4: name += *rc::gen::elementOf(halves); break;
      default: name += *rc::gen::elementOf(parts); break;
    }
  }
  return name;
}

// Own list, not the library's: C0 and C1 controls, separators of lines, and what changes the direction of text.
bool is_harmless(char32_t c) {
  return c >= 0x20 && !(c >= 0x7f && c < 0xa0) && c != 0x61c && c != 0x200e && c != 0x200f && !(c >= 0x2028 && c <= 0x202e) &&
         !(c >= 0x2066 && c <= 0x2069) && c != 0xfeff;
}

// One line, of valid UTF-8 in which nothing acts.
void check_line(const std::string& line) {
  RC_ASSERT(!line.empty() && line.back() == '\n');
  const std::string body = line.substr(0, line.size() - 1);
  RC_ASSERT(utf8::is_valid(body));
  for (auto at = body.begin(); at != body.end();) RC_ASSERT(is_harmless(utf8::next(at, body.end())));
}

// The units of the string that begins at `from`, the place behind its quote; nothing if it is not as RFC 8259 says.
std::optional<std::u16string> units_of(std::string_view json, size_t from) {
  std::u16string units;
  for (auto at = json.begin() + static_cast<std::ptrdiff_t>(from); at != json.end();) {
    if (*at == '"') return units;
    if (static_cast<unsigned char>(*at) < 0x20) return std::nullopt;
    if (*at != '\\') {
      const auto begin = at;
      (void)utf8::next(at, json.end());
      utf8::utf8to16(begin, at, std::back_inserter(units));
      continue;
    }
    if (++at == json.end()) return std::nullopt;
    constexpr std::string_view names = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
    const char escape = *at++;
    if (const size_t known = names.find(escape); known != names.npos) {
      units += static_cast<char16_t>(meanings[known]);
    } else {
      uint16_t unit = 0;
      if (escape != 'u' || json.end() - at < 4 || std::from_chars(&*at, &*at + 4, unit, 16).ptr != &*at + 4) return std::nullopt;
      units += static_cast<char16_t>(unit);
      at += 4;
    }
  }
  return std::nullopt;
}

struct written {
  decoder decode;
  stream_clock clock;
  output_writer out{-1};

  written() { clock.set_anchor({0, batch_builder::frequency, 134'397'090'000'000'000}); }
  std::string json(const delivered_record& record) {
    jsonl_sink({decode, clock, out}).write(decode.decode(record));
    return std::exchange(out.buffer(), {});
  }
  std::string text(const delivered_record& record) {
    text_sink({decode, clock, out}, false).write(decode.decode(record));
    return std::exchange(out.buffer(), {});
  }
};

std::string utf8_of(const std::u16string& units) { return utf8::utf16to8(units); }

RC_GTEST_PROP(hostile_output, a_json_reader_gets_the_names_that_the_record_has, ()) {
  const std::u16string image = any_name(true), command_line = any_name(true);
  const bytes payload = process_create(42, image, command_line);
  const std::string line = written().json(delivered(event_type_process_create, payload));
  check_line(line);

  simdjson::dom::parser parser;
  simdjson::dom::element event;
  RC_ASSERT(parser.parse(line).get(event) == simdjson::SUCCESS);
  RC_ASSERT(uint64_t(event["pid"]) == 42u);  // and no second one that a name has made
  size_t pids = 0;
  for (const auto field : simdjson::dom::object(event)) pids += field.key == "pid";
  RC_ASSERT(pids == 1u);
  const auto same = [&](const char* field, const std::u16string& name) {
    if (name.empty()) return event[field].is_null() || std::string_view(event[field]).empty();
    return std::string_view(event[field]) == utf8_of(name);
  };
  RC_ASSERT(same("image_path", image));
  RC_ASSERT(same("command_line", command_line));
}

RC_GTEST_PROP(hostile_output, names_that_are_no_utf16_come_back_from_json_unit_by_unit, ()) {
  const std::u16string path = any_name(false);
  RC_PRE(!path.empty());
  const std::string line = written().json(delivered(event_type_image_load, image_load(42, path)));
  check_line(line);
  const std::string_view field = "\"path\":\"";
  const size_t at = line.find(field);
  RC_ASSERT(at != line.npos);
  RC_ASSERT(units_of(line, at + field.size()) == path);
}

// The quoted value behind `field` as a reader takes it, who knows that a quote within is doubled: where it begins and ends.
std::pair<size_t, size_t> quoted(const std::string& line, std::string_view field) {
  const size_t begin = line.find(field) + field.size();
  for (size_t at = begin; at < line.size(); ++at) {
    if (line[at] != '"') continue;
    if (at + 1 == line.size() || line[at + 1] != '"') return {begin, at};
    ++at;
  }
  return {begin, line.size()};
}

RC_GTEST_PROP(hostile_output, a_name_stays_within_its_quotes_in_a_line_of_text, ()) {
  const std::u16string path = any_name(false);
  RC_PRE(!path.empty());
  const std::string line = written().text(delivered(event_type_image_load, image_load(42, path)));
  const std::string plain = written().text(delivered(event_type_image_load, image_load(42, u"a")));
  check_line(line);
  const auto [begin, end] = quoted(line, "path=\"");
  const auto [plain_begin, plain_end] = quoted(plain, "path=\"");
  RC_ASSERT(plain.substr(plain_begin, plain_end - plain_begin) == "a");
  RC_ASSERT(line.substr(0, begin) == plain.substr(0, plain_begin));
  RC_ASSERT(line.substr(end) == plain.substr(plain_end));
}

}  // namespace
}  // namespace sluice
