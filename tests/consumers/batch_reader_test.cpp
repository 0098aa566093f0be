#include "consumers/batch_reader.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "consumers/event_stream.h"
#include "tests/consumers/batch_builder.h"

namespace sluice {
namespace {

using namespace test;

// A copy at the end of its own allocation, so that the address sanitizer sees every read past it.
class exact_buffer {
 public:
  explicit exact_buffer(std::span<const uint8_t> from) : memory_(new uint8_t[from.size()]), size_(from.size()) {
    if (size_ != 0) std::memcpy(memory_.get(), from.data(), size_);
  }
  std::span<const uint8_t> get() const { return {memory_.get(), size_}; }

 private:
  std::unique_ptr<uint8_t[]> memory_;
  size_t size_;
};

bytes some_batch() {
  return batch_builder()
      .add({event_type_process_create, process_create(42, u"\\Device\\HarddiskVolume1\\a.exe", u"a.exe -x")})
      .add({event_type_thread_create, thread_create(42, 43), 1001})
      .add({record_type_loss, loss({{event_type_process_create, 2}, {event_type_image_load, 1}}), 1002, 1})
      .add({record_type_type_declaration,
            declaration(40, "request", {field("id", 0, 4, field_kind::unsigned_integer),
                                        field("who", 8, 8, field_kind::utf16_string)}),
            1003})
      .add({event_type_image_load, image_load(42, u"x.dll"), 1004, 1, 1})
      .finish();
}

struct outcome {
  batch_status status;
  size_t records;
  size_t offset;
};

// Reads to the end or the fault, touches every byte of every payload, and decodes each record.
outcome read_all(std::span<const uint8_t> buffer) {
  batch_reader reader(buffer);
  decoder decode;
  delivered_record record;
  size_t records = 0;
  unsigned touched = 0;
  batch_status status;
  while ((status = reader.next(record)) == batch_status::ok) {
    ++records;
    for (uint32_t i = 0; i < record.payload_length; ++i) touched += record.payload[i];
    const decoded_event event = decode.decode(record);
    if (std::holds_alternative<damaged_event>(event.body)) {
      EXPECT_FALSE(describe_damage(event, decode).empty());
    }
  }
  EXPECT_EQ(reader.next(record), status) << "the end is given again";
  EXPECT_GE(touched, 0u);
  return {status, records, reader.fault_offset()};
}

TEST(batch_reader, gives_each_record_with_its_identity) {
  const bytes batch = some_batch();
  batch_reader reader(batch);
  EXPECT_EQ(reader.boot(), batch_builder::boot);
  EXPECT_EQ(reader.clock_frequency(), batch_builder::frequency);
  delivered_record record;
  ASSERT_EQ(reader.next(record), batch_status::ok);
  EXPECT_EQ(record.type, event_type_process_create);
  EXPECT_EQ(record.identity.boot, batch_builder::boot);
  EXPECT_EQ(record.identity.position, 0u);
  EXPECT_EQ(record.time, 1000u);
  ASSERT_EQ(reader.next(record), batch_status::ok);
  EXPECT_EQ(record.payload_length, sizeof(thread_payload));
  EXPECT_GT(record.identity.position, 0u);
  ASSERT_EQ(reader.next(record), batch_status::ok);
  EXPECT_EQ(record.identity.cpu, 1u);
  ASSERT_EQ(reader.next(record), batch_status::ok);
  ASSERT_EQ(reader.next(record), batch_status::ok);
  EXPECT_EQ(record.identity.lane, 1u);
  EXPECT_EQ(reader.next(record), batch_status::end);
}

TEST(batch_reader, gives_the_flags_of_each_entry) {
  const bytes batch = batch_builder()
                          .add({record_type_loss, loss({}), 1, 0, 0, 1, 0})
                          .add({record_type_loss, loss({}), 1, 0, 0, 1, batch_flag_late})
                          .add({record_type_loss, loss({}), 1, 0, 0, 1, batch_flag_figures})
                          .finish();
  batch_reader reader(batch);
  delivered_record record;
  ASSERT_EQ(reader.next(record), batch_status::ok);
  EXPECT_FALSE(record.late || record.figures);
  ASSERT_EQ(reader.next(record), batch_status::ok);
  EXPECT_TRUE(record.late && !record.figures);
  ASSERT_EQ(reader.next(record), batch_status::ok);
  EXPECT_TRUE(!record.late && record.figures);
}

TEST(batch_reader, reads_a_batch_at_any_alignment) {
  bytes shifted(1);
  const bytes batch = some_batch();
  shifted.insert(shifted.end(), batch.begin(), batch.end());
  EXPECT_EQ(read_all(std::span<const uint8_t>(shifted).subspan(1)).records, 5u);
}

TEST(batch_reader, an_empty_batch_is_no_fault) {
  const outcome o = read_all(batch_builder().finish());
  EXPECT_EQ(o.status, batch_status::end);
  EXPECT_EQ(o.records, 0u);
}

TEST(batch_reader, stops_at_the_end_of_the_batch_in_a_longer_buffer) {
  bytes batch = some_batch();
  const size_t length = batch.size();
  batch.resize(length + 100, 0xff);
  EXPECT_EQ(batch_reader(batch).total_bytes(), length);
  EXPECT_EQ(read_all(batch).status, batch_status::end);
}

TEST(batch_reader, every_truncation_is_a_fault_and_is_not_read_past) {
  const bytes batch = some_batch();
  for (size_t length = 0; length < batch.size(); ++length) {
    const exact_buffer cut(std::span<const uint8_t>(batch).first(length));
    const outcome o = read_all(cut.get());
    EXPECT_EQ(o.status, length < sizeof(batch_header) ? batch_status::too_short : batch_status::wrong_length) << length;
  }
}

TEST(batch_reader, a_truncated_batch_with_an_honest_length_keeps_the_records_before_the_cut) {
  const bytes batch = some_batch();
  size_t most = 0;
  for (uint32_t length = sizeof(batch_header); length < batch.size(); ++length) {
    bytes cut(batch.begin(), batch.begin() + length);
    put(cut, offsetof(batch_header, total_bytes), length);
    const exact_buffer exact(cut);
    const outcome o = read_all(exact.get());
    EXPECT_NE(o.status, batch_status::end) << length;
    EXPECT_GE(o.records, most) << "longer batches never give fewer records";
    EXPECT_LE(o.offset, length);
    most = std::max(most, o.records);
  }
  EXPECT_EQ(most, 4u);
}

TEST(batch_reader, every_flipped_bit_is_survived) {
  const bytes batch = some_batch();
  size_t faults = 0;
  for (size_t bit = 0; bit < batch.size() * 8; ++bit) {
    bytes flipped = batch;
    flipped[bit / 8] ^= static_cast<uint8_t>(1u << bit % 8);
    const exact_buffer exact(flipped);
    const outcome o = read_all(exact.get());
    EXPECT_LE(o.records, 5u);
    if (o.status != batch_status::end) ++faults;
  }
  EXPECT_GT(faults, 0u);
}

TEST(batch_reader, every_byte_set_to_an_extreme_is_survived) {
  const bytes batch = some_batch();
  for (size_t at = 0; at < batch.size(); ++at) {
    for (const uint8_t value : {uint8_t{0}, uint8_t{0x7f}, uint8_t{0x80}, uint8_t{0xff}}) {
      bytes changed = batch;
      changed[at] = value;
      const exact_buffer exact(changed);
      EXPECT_LE(read_all(exact.get()).records, 5u);
    }
  }
}

TEST(batch_reader, random_damage_is_survived) {
  std::mt19937_64 random(20261121);
  const bytes batch = some_batch();
  for (int round = 0; round < 20000; ++round) {
    bytes changed = batch;
    const uint64_t changes = 1 + random() % 8;
    for (uint64_t i = 0; i < changes; ++i) {
      const size_t at = random() % changed.size();
      // Behind the header, or the first check ends it all.
      changed[at < 8 ? at + sizeof(batch_header) : at] = static_cast<uint8_t>(random());
    }
    const exact_buffer exact(changed);
    EXPECT_LE(read_all(exact.get()).records, 5u);
  }
}

TEST(batch_reader, random_bytes_are_survived) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 20000; ++round) {
    bytes noise(random() % 300);
    for (uint8_t& b : noise) b = static_cast<uint8_t>(random());
    if (noise.size() >= sizeof(batch_header) && random() % 2 == 0) {
      put(noise, 0, batch_header{batch_magic, batch_version, sizeof(batch_header), static_cast<uint32_t>(noise.size()),
                                 static_cast<uint32_t>(random() % 10), 0, 1});
    }
    const exact_buffer exact(noise);
    EXPECT_NE(read_all(exact.get()).status, batch_status::ok);
  }
}

// Which field is at fault, and where.
struct header_case {
  const char* name;
  void (*damage)(bytes&);
  batch_status status;
  size_t offset;
};
class batch_fault : public testing::TestWithParam<header_case> {};

TEST_P(batch_fault, is_named_with_its_place) {
  bytes batch = batch_builder().add({event_type_thread_create, thread_create(1, 2)}).finish();
  GetParam().damage(batch);
  const exact_buffer exact(batch);
  batch_reader reader(exact.get());
  delivered_record record;
  batch_status status;
  while ((status = reader.next(record)) == batch_status::ok) {
  }
  EXPECT_EQ(status, GetParam().status) << name_of(status);
  EXPECT_EQ(reader.fault_offset(), GetParam().offset);
}

constexpr size_t entry_at = sizeof(batch_header);
constexpr size_t record_at = entry_at + sizeof(batch_entry);
const header_case cases[] = {
    {"magic", [](bytes& b) { b[0] ^= 1; }, batch_status::wrong_magic, 0},
    {"version", [](bytes& b) { b[4] = 2; }, batch_status::wrong_version, 4},
    {"total_longer", [](bytes& b) { put<uint32_t>(b, 8, static_cast<uint32_t>(b.size() + 8)); },
     batch_status::wrong_length, 8},
    {"total_without_header", [](bytes& b) { put<uint32_t>(b, 8, 31); }, batch_status::wrong_length, 8},
    {"header_short", [](bytes& b) { put<uint16_t>(b, 6, 24); }, batch_status::wrong_length, 6},
    {"header_long", [](bytes& b) { put<uint16_t>(b, 6, 0xfff8); }, batch_status::wrong_length, 6},
    {"header_odd", [](bytes& b) { put<uint16_t>(b, 6, 33); }, batch_status::wrong_length, 6},
    {"more_records_promised", [](bytes& b) { put<uint32_t>(b, 12, 2); }, batch_status::wrong_length, 12},
    {"fewer_records_promised", [](bytes& b) { put<uint32_t>(b, 12, 0); }, batch_status::wrong_length, entry_at},
    {"entry_longer_than_batch", [](bytes& b) { put<uint32_t>(b, entry_at, 80); }, batch_status::wrong_entry, entry_at},
    {"entry_of_nothing", [](bytes& b) { put<uint32_t>(b, entry_at, 0); }, batch_status::wrong_entry, entry_at},
    {"entry_odd", [](bytes& b) { put<uint32_t>(b, entry_at, 71); }, batch_status::wrong_entry, entry_at},
    {"lane", [](bytes& b) { b[entry_at + 6] = 2; }, batch_status::wrong_entry, entry_at + 6},
    {"position", [](bytes& b) { b[entry_at + 8] = 4; }, batch_status::wrong_entry, entry_at + 8},
    {"record_longer_than_entry", [](bytes& b) { b[record_at] += 8; }, batch_status::wrong_record, record_at},
    {"record_shorter_than_entry", [](bytes& b) { b[record_at] -= 8; }, batch_status::wrong_record, record_at},
    {"record_shorter_than_its_header",
     [](bytes& b) { put(b, record_at, make_state_and_length(record_state::committed, 8)); }, batch_status::wrong_record,
     record_at},
    {"record_not_committed", [](bytes& b) { put(b, record_at, make_state_and_length(record_state::stamped, 56)); },
     batch_status::wrong_record, record_at},
};
INSTANTIATE_TEST_SUITE_P(fields, batch_fault, testing::ValuesIn(cases), [](const auto& p) { return p.param.name; });

TEST(batch_reader, a_longer_header_of_a_newer_writer_is_skipped) {
  bytes batch = some_batch();
  batch.insert(batch.begin() + sizeof(batch_header), 16, uint8_t{0xee});
  put<uint16_t>(batch, offsetof(batch_header, header_bytes), sizeof(batch_header) + 16);
  put<uint32_t>(batch, offsetof(batch_header, total_bytes), static_cast<uint32_t>(batch.size()));
  EXPECT_EQ(read_all(batch).records, 5u);
}

}  // namespace
}  // namespace sluice
