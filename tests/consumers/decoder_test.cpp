#include "consumers/decoder.h"

#include <gtest/gtest.h>

#include "tests/consumers/batch_builder.h"

namespace sluice {
namespace {

using namespace test;

template <class body>
const body& expect_body(const decoded_event& event) {
  const body* b = std::get_if<body>(&event.body);
  if (b == nullptr) {
    const auto* damage = std::get_if<damaged_event>(&event.body);
    throw std::runtime_error(damage != nullptr ? "damaged: " + damage->what : "another kind of event");
  }
  return *b;
}

std::string damage_of(decoder& decode, const delivered_record& record) {
  return describe_damage(decode.decode(record), decode);
}

TEST(decoder, a_process_create_has_all_of_its_fields) {
  decoder decode;
  const bytes payload = process_create(42, u"\\Device\\a.exe", u"a -x");
  const decoded_event event = decode.decode(delivered(event_type_process_create, payload));
  const auto& e = expect_body<process_create_event>(event);
  EXPECT_EQ(event.context_pid, 1000u);
  EXPECT_EQ(event.context_tid, 1001u);
  EXPECT_EQ(e.pid, 42u);
  EXPECT_EQ(e.parent_pid, 7u);
  EXPECT_EQ(e.creating_pid, 1000u);
  EXPECT_EQ(e.creating_tid, 1001u);
  EXPECT_EQ(e.start_key, 0x1122334455667788u);
  EXPECT_EQ(e.flags, process_flag_exact_image_path);
  EXPECT_EQ(to_utf8(e.image_path->text), "\\Device\\a.exe");
  EXPECT_EQ(to_utf8(e.command_line->text), "a -x");
}

TEST(decoder, a_process_exit_keeps_the_sign_of_its_status) {
  decoder decode;
  bytes payload;
  append(payload, process_exit_payload{{5, 6}, 5, -1073741819, 99, 0, 0});
  const decoded_event event = decode.decode(delivered(event_type_process_exit, payload));
  EXPECT_EQ(expect_body<process_exit_event>(event).exit_status, -1073741819);
}

TEST(decoder, thread_and_image_events_have_their_own_types) {
  decoder decode;
  const bytes thread = thread_create(42, 43);
  const decoded_event created = decode.decode(delivered(event_type_thread_create, thread));
  const decoded_event ended = decode.decode(delivered(event_type_thread_exit, thread));
  EXPECT_EQ(expect_body<thread_create_event>(created).start_address, 0x7fff00001000u);
  EXPECT_EQ(expect_body<thread_exit_event>(ended).tid, 43u);
  const bytes image = image_load(0, u"\\SystemRoot\\x.sys");
  const decoded_event loaded = decode.decode(delivered(event_type_image_load, image));
  EXPECT_EQ(expect_body<image_load_event>(loaded).base, 0xfffff80000000000u);
  EXPECT_EQ(expect_body<image_load_event>(loaded).signature_level, 12);
}

TEST(decoder, a_newer_longer_payload_is_read_by_the_known_fields) {
  decoder decode;
  // A newer driver put 16 bytes behind the fixed part, in front of the string.
  image_load_payload fixed{};
  fixed.pid = 9;
  bytes payload(sizeof(fixed) + 16, 0xee);
  fixed.path = append_string(payload, u"new.dll");
  put(payload, 0, fixed);
  const decoded_event event = decode.decode(delivered(event_type_image_load, payload, 2));
  EXPECT_EQ(expect_body<image_load_event>(event).pid, 9u);
  EXPECT_EQ(to_utf8(expect_body<image_load_event>(event).path->text), "new.dll");
}

TEST(decoder, an_older_shorter_payload_leaves_the_missing_fields_absent) {
  decoder decode;
  const bytes whole = process_create(42, u"a", u"b");
  const bytes payload(whole.begin(), whole.begin() + offsetof(process_create_payload, flags));
  const decoded_event event = decode.decode(delivered(event_type_process_create, payload, 0));
  const auto& e = expect_body<process_create_event>(event);
  EXPECT_EQ(e.pid, 42u);
  EXPECT_EQ(e.start_key, 0x1122334455667788u);
  EXPECT_FALSE(e.flags.has_value());
  EXPECT_FALSE(e.image_path.has_value());
  EXPECT_FALSE(e.command_line.has_value());
}

TEST(decoder, a_field_cut_in_half_is_absent_from_an_older_payload) {
  decoder decode;
  const bytes whole = thread_create(42, 43);
  for (size_t length = 0; length < whole.size(); ++length) {
    const bytes payload(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length));
    const decoded_event event = decode.decode(delivered(event_type_thread_create, payload, 0));
    const auto& e = expect_body<thread_create_event>(event);
    EXPECT_EQ(e.tid.has_value(), length >= offsetof(thread_payload, tid) + 4) << length;
    EXPECT_EQ(e.start_address.has_value(), length >= offsetof(thread_payload, start_address) + 8) << length;
  }
}

TEST(decoder, a_short_payload_of_the_current_version_is_damage) {
  decoder decode;
  const bytes whole = thread_create(42, 43);
  const bytes payload(whole.begin(), whole.begin() + 20);
  EXPECT_EQ(damage_of(decode, delivered(event_type_thread_create, payload)),
            "damaged thread_create record on cpu 3, lane 0, position 4096, field creator_tid: "
            "payload of 20 bytes ends before it");
}

TEST(decoder, an_unknown_type_is_represented_with_its_bytes) {
  decoder decode;
  const bytes payload = {1, 2, 3};
  for (const uint16_t type : {uint16_t{31}, uint16_t{40}, uint16_t{63}, uint16_t{64}, uint16_t{65535}}) {
    const decoded_event event = decode.decode(delivered(type, payload));
    EXPECT_EQ(expect_body<unknown_event>(event).payload.size(), 3u);
    EXPECT_EQ(event.type, type);
  }
}

TEST(decoder, type_0_is_damage) {
  decoder decode;
  EXPECT_NE(damage_of(decode, delivered(0, {})), "");
}

// Strings.
struct string_case {
  const char* name;
  string_field field;
  const char* complaint;  // empty: none
};
class decoder_strings : public testing::TestWithParam<string_case> {};

TEST_P(decoder_strings, are_checked_against_the_payload) {
  decoder decode;
  bytes payload = image_load(1, u"abcd");  // 48 fixed bytes, 8 of text
  put(payload, offsetof(image_load_payload, path), GetParam().field);
  const std::string damage = damage_of(decode, delivered(event_type_image_load, payload));
  if (*GetParam().complaint == '\0') {
    EXPECT_EQ(damage, "");
  } else {
    EXPECT_NE(damage.find("field path: " + std::string(GetParam().complaint)), std::string::npos) << damage;
  }
}

const string_case string_cases[] = {
    {"whole", {48, 8, 8, 0}, ""},
    {"empty", {0, 0, 0, 0}, ""},
    {"empty_at_the_end", {56, 0, 0, 0}, ""},
    {"unavailable", {0, 0, 0, string_flag_unavailable}, ""},
    {"gone", {0, 0, 0, string_flag_source_gone}, ""},
    {"truncated", {48, 8, 20, string_flag_truncated}, ""},
    {"one_unit_too_long", {48, 10, 10, 0}, "offset 48 and length 10 lie outside"},
    {"offset_behind_the_end", {58, 0, 0, 0}, "offset 58 and length 0 lie outside"},
    {"sum_over_16_bits", {0xfff8, 16, 16, 0}, "offset 65528 and length 16 lie outside"},  // 8 in 16 bits
    {"odd_length", {48, 7, 7, 0}, "odd length 7"},
    {"in_the_fixed_part", {46, 8, 8, 0}, "offset 46 lies inside the fixed fields"},
    {"truncated_from_less", {48, 8, 8, string_flag_truncated}, "truncated to 8 bytes from 8"},
    {"unavailable_with_text", {48, 8, 8, string_flag_unavailable}, "flagged as missing"},
};
INSTANTIATE_TEST_SUITE_P(fields, decoder_strings, testing::ValuesIn(string_cases),
                         [](const auto& p) { return p.param.name; });

TEST(decoder, damage_does_not_stop_what_follows) {
  decoder decode;
  bytes damaged = image_load(1, u"abcd");
  put<uint16_t>(damaged, offsetof(image_load_payload, path), 60000);
  EXPECT_NE(damage_of(decode, delivered(event_type_image_load, damaged)), "");
  const bytes good = image_load(1, u"abcd");
  EXPECT_EQ(damage_of(decode, delivered(event_type_image_load, good)), "");
}

TEST(decoder, missing_strings_say_why) {
  decoder decode;
  bytes payload = image_load(1, u"");
  put(payload, offsetof(image_load_payload, path), string_field{0, 0, 0, string_flag_unavailable});
  decoded_event event = decode.decode(delivered(event_type_image_load, payload));
  EXPECT_EQ(expect_body<image_load_event>(event).path->missing, missing_reason::unavailable);
  put(payload, offsetof(image_load_payload, path), string_field{0, 0, 0, string_flag_source_gone});
  event = decode.decode(delivered(event_type_image_load, payload));
  EXPECT_EQ(expect_body<image_load_event>(event).path->missing, missing_reason::source_gone);
}

// LOSS, anchor, overdue.
TEST(decoder, a_loss_lists_its_types) {
  decoder decode;
  const bytes payload = loss({{8, 3}, {12, 4}});
  const decoded_event event = decode.decode(delivered(record_type_loss, payload));
  const auto& e = expect_body<loss_event>(event);
  EXPECT_EQ(e.events, 7u);
  ASSERT_EQ(e.by_type().size(), 2u);
  EXPECT_EQ(e.by_type()[1].type, 12);
  EXPECT_EQ(e.by_type()[1].events, 4u);
}

TEST(decoder, a_loss_that_contradicts_itself_is_damage) {
  decoder decode;
  bytes payload = loss({{8, 3}, {12, 4}});
  put<uint32_t>(payload, offsetof(loss_payload, entry_count), 3);
  EXPECT_NE(damage_of(decode, delivered(record_type_loss, payload)).find("entry_count"), std::string::npos);
  put<uint32_t>(payload, offsetof(loss_payload, entry_count), 0xffffffff);
  EXPECT_NE(damage_of(decode, delivered(record_type_loss, payload)).find("entry_count"), std::string::npos);
  payload = loss({{8, 3}, {12, 4}});
  put<uint64_t>(payload, offsetof(loss_payload, events), 8);
  EXPECT_NE(damage_of(decode, delivered(record_type_loss, payload)).find("8 events, but 7 by type"), std::string::npos);
  payload = loss({{12, 3}, {12, 4}});
  EXPECT_NE(damage_of(decode, delivered(record_type_loss, payload)).find("type 12 after type 12"), std::string::npos);
}

TEST(decoder, an_anchor_without_a_frequency_is_damage) {
  decoder decode;
  bytes payload;
  append(payload, anchor_payload{5, 0, 7});
  EXPECT_NE(damage_of(decode, delivered(record_type_anchor, payload)).find("field frequency"), std::string::npos);
}

TEST(decoder, an_overdue_names_the_open_record) {
  decoder decode;
  bytes payload;
  append(payload, overdue_payload{64, 500, 100, event_type_image_load, 2, 1, 0, 77, 78});
  const decoded_event event = decode.decode(delivered(record_type_overdue, payload));
  EXPECT_EQ(expect_body<overdue_event>(event).pid, 77u);
  EXPECT_EQ(expect_body<overdue_event>(event).cpu, 2u);
}

// Own types.
struct request_payload {
  uint32_t id;
  int16_t delta;
  uint8_t tag[2];
  uint64_t address;
  string_field who;
};
const std::vector<field_declaration> request_fields = {
    field("id", 0, 4, field_kind::unsigned_integer), field("delta", 4, 2, field_kind::signed_integer),
    field("tag", 6, 2, field_kind::bytes), field("address", 8, 8, field_kind::hexadecimal),
    field("who", 16, 8, field_kind::utf16_string)};

bytes request() {
  bytes payload(sizeof(request_payload));
  request_payload p{7, -5, {0xab, 0xcd}, 0xffff800000001000, {}};
  p.who = append_string(payload, u"me");
  put(payload, 0, p);
  return payload;
}

TEST(decoder, an_own_event_is_read_by_its_declared_layout) {
  decoder decode;
  const bytes payload = request();
  EXPECT_TRUE(std::holds_alternative<unknown_event>(decode.decode(delivered(40, payload)).body));
  const bytes declared = declaration(40, "request", request_fields);
  const decoded_event learned = decode.decode(delivered(record_type_type_declaration, declared));
  EXPECT_EQ(expect_body<type_declaration_event>(learned).declared->fields.size(), 5u);
  EXPECT_EQ(decode.name_of(40), "request");

  const decoded_event event = decode.decode(delivered(40, payload));
  const auto& e = expect_body<own_event>(event);
  EXPECT_EQ(std::get<uint64_t>(e.values[0]), 7u);
  EXPECT_EQ(std::get<int64_t>(e.values[1]), -5);
  EXPECT_EQ(std::get<std::span<const uint8_t>>(e.values[2])[1], 0xcd);
  EXPECT_EQ(std::get<uint64_t>(e.values[3]), 0xffff800000001000u);
  EXPECT_EQ(to_utf8(std::get<string_value>(e.values[4]).text), "me");
}

TEST(decoder, an_own_event_is_checked_against_its_layout) {
  decoder decode;
  const bytes declared = declaration(40, "request", request_fields, 2);
  (void)decode.decode(delivered(record_type_type_declaration, declared));
  bytes payload = request();
  payload.resize(10);
  EXPECT_NE(damage_of(decode, delivered(40, payload, 2)).find("request record on cpu 3"), std::string::npos);
  const decoded_event older = decode.decode(delivered(40, payload, 1));
  const auto& e = expect_body<own_event>(older);
  EXPECT_EQ(std::get<uint64_t>(e.values[0]), 7u);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(e.values[3])) << "cut in half";
  payload = request();
  put<uint16_t>(payload, offsetof(request_payload, who), 200);
  EXPECT_NE(damage_of(decode, delivered(40, payload, 2)).find("field who"), std::string::npos);
}

TEST(decoder, a_field_of_a_kind_from_the_future_is_given_as_bytes) {
  decoder decode;
  const bytes declared = declaration(41, "later", {field("odd", 0, 3, static_cast<field_kind>(99))});
  (void)decode.decode(delivered(record_type_type_declaration, declared));
  const bytes payload = {1, 2, 3};
  const decoded_event event = decode.decode(delivered(41, payload));
  EXPECT_EQ(std::get<std::span<const uint8_t>>(expect_body<own_event>(event).values[0]).size(), 3u);
}

TEST(type_registry, refuses_layouts_that_no_client_could_read) {
  const auto number = field_kind::unsigned_integer;
  const std::vector<std::pair<const char*, bytes>> wrong = {
      {"too short", bytes(39)},
      {"a library type", declaration(8, "x", {})},
      {"a type out of range", declaration(64, "x", {})},
      {"no name", declaration(40, "", {})},
      {"a name with an escape", declaration(40, "a\x1b[2J", {})},
      {"a name with a space", declaration(40, "a b", {})},
      {"a name beyond ASCII", declaration(40, "\xc3\xa4", {})},
      {"a field without a name", declaration(40, "x", {field("", 0, 4, number)})},
      {"two fields of one name", declaration(40, "x", {field("a", 0, 4, number), field("a", 4, 4, number)})},
      {"a number of 3 bytes", declaration(40, "x", {field("a", 0, 3, number)})},
      {"a string of 4 bytes", declaration(40, "x", {field("a", 0, 4, field_kind::utf16_string)})},
      {"no bytes", declaration(40, "x", {field("a", 0, 0, field_kind::bytes)})},
      {"33 fields", declaration(40, "x", std::vector<field_declaration>(33, field("a", 0, 4, number)))},
  };
  for (const auto& [what, payload] : wrong) {
    type_registry types;
    EXPECT_TRUE(std::holds_alternative<declaration_error>(types.learn(payload))) << what;
    EXPECT_EQ(types.find(40), nullptr) << what;
  }
}

TEST(type_registry, a_count_of_fields_that_the_payload_does_not_hold_is_refused) {
  bytes payload = declaration(40, "x", {field("a", 0, 4, field_kind::unsigned_integer)});
  put<uint32_t>(payload, offsetof(type_declaration_payload, field_count), 2);
  type_registry types;
  EXPECT_TRUE(std::holds_alternative<declaration_error>(types.learn(payload)));
}

TEST(type_registry, a_name_of_the_full_length_needs_no_end) {
  type_registry types;
  const std::string name(max_name_length, 'n');
  ASSERT_FALSE(std::holds_alternative<declaration_error>(types.learn(declaration(40, name, {}))));
  EXPECT_EQ(types.find(40)->name, name);
}

TEST(type_registry, learns_the_drivers_answer_up_to_the_first_fault) {
  bytes answer = declaration(40, "first", {field("a", 0, 4, field_kind::unsigned_integer)});
  const bytes second = declaration(41, "second", {});
  answer.insert(answer.end(), second.begin(), second.end());
  type_registry types;
  std::string error;
  EXPECT_EQ(types.learn_all(answer, error), 2u);
  EXPECT_EQ(error, "");
  answer.resize(answer.size() + 12);
  type_registry others;
  EXPECT_EQ(others.learn_all(answer, error), 2u);
  EXPECT_NE(error.find("declaration 2 at offset 120"), std::string::npos) << error;
}

}  // namespace
}  // namespace sluice
