// Registry records: decoded, and as the sinks write them. The expected lines are those of
// docs/output-formats.md.
#include <gtest/gtest.h>

#include "consumers/jsonl_sink.h"
#include "consumers/text_sink.h"
#include "tests/consumers/batch_builder.h"

namespace sluice {
namespace {

using namespace test;

bytes key_record(std::u16string_view path, int32_t status = 0, uint32_t flags = 0, uint32_t disposition = 0) {
  bytes payload(sizeof(registry_key_payload));
  registry_key_payload p{{1000, 1001}, {status, flags}, disposition, 0x20019, {}};
  p.key_path = append_string(payload, path);
  put(payload, 0, p);
  return payload;
}

bytes value_record(uint32_t type, const bytes& data, bytes_field field = {}) {
  bytes payload(sizeof(registry_value_payload));
  registry_value_payload p{};
  p.context = {1000, 1001};
  p.value_type = type;
  p.key_path = append_string(payload, u"\\R\\k");
  p.value_name = append_string(payload, u"v");
  field.offset = static_cast<uint32_t>(payload.size());
  field.length = static_cast<uint32_t>(data.size());
  if (field.original_length == 0) field.original_length = field.length;
  p.data = field;
  put(payload, 0, p);
  payload.insert(payload.end(), data.begin(), data.end());
  return payload;
}

bytes utf16(std::u16string_view text) {
  bytes out;
  for (const char16_t unit : text) append(out, unit);
  return out;
}

bytes rename_record() {
  bytes payload(sizeof(registry_rename_payload));
  registry_rename_payload p{{1000, 1001}, {0, 0}, {}, {}};
  p.key_path = append_string(payload, u"\\R\\old");
  p.new_name = append_string(payload, u"new");
  put(payload, 0, p);
  return payload;
}

struct registry_records : testing::Test {
  decoder decode;
  stream_clock clock;
  output_writer out{-1};

  // The type's own fields of the line.
  std::string json(uint16_t type, const bytes& payload) {
    out.buffer().clear();
    jsonl_sink({decode, clock, out}).write(decode.decode(delivered(type, payload)));
    const std::string line = std::exchange(out.buffer(), {});
    const size_t begin = line.find(R"("context_tid":1001,)");
    const size_t end = line.find(R"(,"lane")");
    return begin == std::string::npos ? line : line.substr(begin + 19, end - begin - 19);
  }
  std::string text(uint16_t type, const bytes& payload) {
    out.buffer().clear();
    text_sink({decode, clock, out}, false).write(decode.decode(delivered(type, payload)));
    const std::string line = std::exchange(out.buffer(), {});
    const size_t begin = line.find("[1000/1001] ");
    return begin == std::string::npos ? line : line.substr(begin + 12, line.size() - begin - 13);
  }
  std::string damage(uint16_t type, const bytes& payload) {
    const decoded_event event = decode.decode(delivered(type, payload));
    const auto* damaged = std::get_if<damaged_event>(&event.body);
    return damaged == nullptr ? "" : std::string(damaged->field) + ": " + damaged->what;
  }
};

TEST_F(registry_records, a_created_key) {
  const bytes payload = key_record(u"\\REGISTRY\\USER\\x", 0, 0, 1);
  EXPECT_EQ(
      json(event_type_registry_create_key, payload),
      R"("status":"0x0","disposition":"created","desired_access":"0x20019","flags":[],"key_path":"\\REGISTRY\\USER\\x")");
  EXPECT_EQ(text(event_type_registry_create_key, payload),
            R"(status=0x0 disposition=created desired_access=0x20019 key_path="\REGISTRY\USER\x")");
}

TEST_F(registry_records, a_key_that_was_not_opened) {
  const bytes payload = key_record(u"\\R", static_cast<int32_t>(0xc0000034));
  EXPECT_EQ(json(event_type_registry_open_key, payload),
            R"("status":"0xc0000034","desired_access":"0x20019","flags":[],"key_path":"\\R")");
}

TEST_F(registry_records, an_event_whose_outcome_is_not_known_has_no_status) {
  const bytes payload = key_record(u"\\R", 0, registry_flag_no_outcome | 0x80);
  EXPECT_EQ(json(event_type_registry_delete_key, payload),
            R"("flags":["no_outcome","0x80"],"key_path":"\\R")");
}

TEST_F(registry_records, a_value_shows_its_bytes_and_what_its_type_says_they_are) {
  const std::string before = R"("status":"0x0","flags":[],"key_path":"\\R\\k","value_name":"v",)";
  EXPECT_EQ(json(event_type_registry_set_value, value_record(1, utf16(std::u16string_view(u"ab\0", 3)))),
            before + R"("value_type":"REG_SZ","data":"610062000000","data_size":6,"data_string":"ab")");
  EXPECT_EQ(json(event_type_registry_set_value, value_record(4, {1, 2, 0, 0})),
            before + R"("value_type":"REG_DWORD","data":"01020000","data_size":4,"data_number":513)");
  EXPECT_EQ(
      json(event_type_registry_set_value, value_record(11, {0, 0, 0, 0, 0, 0, 0, 1})),
      before +
          R"("value_type":"REG_QWORD","data":"0000000000000001","data_size":8,"data_number":72057594037927936)");
  EXPECT_EQ(json(event_type_registry_set_value, value_record(7, utf16(std::u16string_view(u"a\0b\0\0", 5)))),
            before + R"("value_type":"REG_MULTI_SZ","data":"61000000620000000000","data_size":10,)"
                     R"("data_string":"a\u0000b\u0000\u0000")");
  EXPECT_EQ(
      text(event_type_registry_set_value, value_record(4, {1, 2, 0, 0})),
      R"(status=0x0 key_path="\R\k" value_name="v" value_type=REG_DWORD data=01020000 data_number=513)");
}

TEST_F(registry_records, a_type_that_does_not_fit_its_data_shows_the_bytes_alone) {
  EXPECT_NE(json(event_type_registry_set_value, value_record(4, {1, 2, 3}))
                .find(R"("data":"010203","data_size":3)"),
            std::string::npos);
  EXPECT_EQ(json(event_type_registry_set_value, value_record(4, {1, 2, 3})).find("data_number"),
            std::string::npos);
  EXPECT_NE(json(event_type_registry_set_value, value_record(1, {'a', 0, 'b'})).find(R"("data_string":"a")"),
            std::string::npos)
      << "half a unit is no character";
  EXPECT_NE(
      json(event_type_registry_set_value, value_record(0xdeadbeef, {})).find(R"("value_type":"0xdeadbeef")"),
      std::string::npos);
}

TEST_F(registry_records, data_that_was_cut_or_could_not_be_read_says_so) {
  const bytes cut = value_record(3, {1, 2}, {0, 0, 70'000, string_flag_truncated});
  EXPECT_NE(json(event_type_registry_set_value, cut).find(R"("data":"0102","data_size":70000)"),
            std::string::npos);
  EXPECT_NE(text(event_type_registry_set_value, cut).find("data=0102(truncated from 70000 bytes)"),
            std::string::npos);
  const bytes gone = value_record(3, {}, {0, 0, 12, string_flag_unavailable});
  EXPECT_NE(json(event_type_registry_set_value, gone)
                .find(R"("data":null,"data_missing":"unavailable","data_size":12)"),
            std::string::npos);
  EXPECT_NE(text(event_type_registry_set_value, gone).find("data=(unavailable, 12 bytes)"),
            std::string::npos);
}

TEST_F(registry_records, a_deleted_value_has_no_data_and_a_rename_its_new_name) {
  EXPECT_EQ(json(event_type_registry_delete_value, value_record(0, {})),
            R"("status":"0x0","flags":[],"key_path":"\\R\\k","value_name":"v")");
  EXPECT_EQ(json(event_type_registry_rename_key, rename_record()),
            R"("status":"0x0","flags":[],"key_path":"\\R\\old","new_name":"new")");
}

TEST_F(registry_records, that_contradict_themselves_are_damage) {
  const auto damaged = [&](bytes_field field) {
    bytes payload = value_record(3, {1, 2, 3, 4});
    put(payload, offsetof(registry_value_payload, data), field);
    return damage(event_type_registry_set_value, payload);
  };
  const uint32_t end = static_cast<uint32_t>(value_record(3, {1, 2, 3, 4}).size());
  EXPECT_EQ(damaged({end - 4, 4, 4, 0}), "");
  EXPECT_NE(damaged({end - 4, 5, 5, 0}).find("data: offset"), std::string::npos);
  EXPECT_NE(damaged({0xfffffffe, 4, 4, 0}).find("data: offset"), std::string::npos) << "no sum wraps";
  EXPECT_NE(damaged({8, 4, 4, 0}).find("inside the fixed fields"), std::string::npos);
  EXPECT_NE(damaged({end - 4, 4, 5, 0}).find("not truncated"), std::string::npos);
  EXPECT_NE(damaged({end - 4, 4, 4, string_flag_truncated}).find("truncated"), std::string::npos);
  EXPECT_NE(damaged({end - 4, 4, 9, string_flag_unavailable}).find("flagged as missing"), std::string::npos);
}

TEST_F(registry_records, of_an_older_version_may_end_anywhere_and_of_this_one_not) {
  for (const auto& [type, whole] : {std::pair{event_type_registry_create_key, key_record(u"\\R")},
                                    {event_type_registry_set_value, value_record(3, {1})},
                                    {event_type_registry_rename_key, rename_record()}}) {
    for (size_t length = 0; length < sizeof(registry_key_payload); ++length) {
      const bytes part(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length));
      EXPECT_TRUE(std::holds_alternative<damaged_event>(decode.decode(delivered(type, part)).body)) << length;
    }
    const bytes outcome(whole.begin(), whole.begin() + 16);
    const decoded_event event = decode.decode(delivered(type, outcome, 0));
    EXPECT_FALSE(std::holds_alternative<damaged_event>(event.body));
    EXPECT_EQ(event.context_pid, 1000u);
  }
}

}  // namespace
}  // namespace sluice
