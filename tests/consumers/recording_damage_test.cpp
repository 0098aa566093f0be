// Recordings that were cut, damaged, or made by somebody who means harm.
#include <fmt/format.h>

#include <random>

#include "tests/consumers/recording_support.h"

namespace sluice {
namespace {

using namespace test;
using namespace recording;

struct layout {
  bytes file;
  std::vector<block_place> blocks;
};

layout make(uint32_t blocks, uint32_t per_block) {
  layout made;
  memory_file file;
  thread_batches threads;
  recording_writer writer(file, about(), 1);
  for (uint32_t i = 0; i < blocks; ++i) EXPECT_TRUE(writer.add(threads.next(per_block)));
  writer.end(nullptr, nullptr);
  made.file = file.content;
  const file_on_disk on_disk(made.file);
  recording_reader reader(on_disk.path());
  while (const auto place = reader.next()) made.blocks.push_back(*place);
  return made;
}

std::vector<uint64_t> times(uint64_t count) {
  std::vector<uint64_t> result;
  for (uint64_t i = 0; i < count; ++i) result.push_back(1000 + i);
  return result;
}

TEST(damaged_recording, cut_at_every_byte_gives_all_before_the_cut) {
  const layout made = make(4, 6);
  const uint64_t first =
      made.blocks.at(0).offset + sizeof(block_header) + made.blocks.at(0).header.stored_bytes;
  for (size_t size = 0; size < made.file.size(); ++size) {
    const std::span<const uint8_t> cut = std::span(made.file).first(size);
    if (size < first) {
      EXPECT_THROW(read_all(cut), recording_error) << size;
      continue;
    }
    uint64_t whole = 0;
    for (const block_place& place : made.blocks) {
      if (place.header.kind == block_kind::events &&
          place.offset + sizeof(block_header) + place.header.stored_bytes <= size) {
        whole += place.header.record_count;
      }
    }
    const read_back got = read_all(cut);
    EXPECT_EQ(got.times, times(whole)) << size;
    EXPECT_FALSE(got.faults.empty()) << size << ": nobody said that it was cut";
    EXPECT_EQ(got.torn, !got.has_end) << size;
  }
}

TEST(damaged_recording, a_flipped_bit_anywhere_gives_no_event_that_was_not_recorded) {
  const layout made = make(3, 6);
  std::mt19937 random(1);
  const std::vector<bytes> originals = read_all(made.file).batches;
  for (size_t at = 0; at < made.file.size(); ++at) {
    bytes file = made.file;
    file[at] ^= static_cast<uint8_t>(1u << (random() % 8));
    read_back got;
    try {
      got = read_all(file);
    } catch (const recording_error& error) {
      EXPECT_LT(at, made.blocks.at(1).offset) << error.what();
      continue;
    }
    for (const bytes& batch : got.batches) {
      EXPECT_NE(std::find(originals.begin(), originals.end(), batch), originals.end()) << at;
    }
    if (got.batches.size() != originals.size()) {
      EXPECT_GE(got.batches.size() + 1, originals.size()) << at << ": one bit costs one block";
      EXPECT_EQ(got.missing, 6u) << at;
      ASSERT_FALSE(got.faults.empty()) << at;
      EXPECT_NE(got.faults.front().find("at offset"), std::string::npos);
    }
  }
}

TEST(damaged_recording, a_hole_costs_the_blocks_that_it_hits) {
  const layout made = make(6, 10);
  bytes file = made.file;
  const block_place& second = made.blocks.at(2);
  const block_place& third = made.blocks.at(3);
  std::fill(file.begin() + static_cast<ptrdiff_t>(second.offset) + 40,
            file.begin() + static_cast<ptrdiff_t>(third.offset) + 8, 0);
  const read_back got = read_all(file);
  std::vector<uint64_t> expected = times(60);
  expected.erase(expected.begin() + 10, expected.begin() + 30);
  EXPECT_EQ(got.times, expected);
  EXPECT_EQ(got.missing, 20u);
  ASSERT_EQ(got.faults.size(), 1u);
  EXPECT_NE(got.faults[0].find("at offset " + std::to_string(second.offset)), std::string::npos)
      << got.faults[0];
  EXPECT_NE(got.faults[0].find("passed over"), std::string::npos) << got.faults[0];
}

TEST(damaged_recording, blocks_of_an_older_file_are_not_taken_for_its_own) {
  layout made = make(2, 4);
  memory_file other;
  about_recording second = about();
  second.file_id = 99;
  thread_batches threads;
  recording_writer writer(other, second, 1);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(writer.add(threads.next(4)));
  writer.end(nullptr, nullptr);
  // The disk gave blocks that once held the older, longer file.
  bytes file(made.file.begin(), made.file.begin() + static_cast<ptrdiff_t>(made.blocks.at(2).offset));
  const size_t reached = file.size();
  file.insert(file.end(), other.content.begin() + static_cast<ptrdiff_t>(reached), other.content.end());
  const read_back got = read_all(file);
  EXPECT_EQ(got.times, times(4));
  EXPECT_TRUE(got.torn);
  ASSERT_FALSE(got.faults.empty());
}

void expect_refused(const bytes& file, const char* why) {
  try {
    (void)read_all(file);
    FAIL() << "not refused: " << why;
  } catch (const recording_error& error) {
    EXPECT_NE(std::string(error.what()).find(why), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("/tmp/"), std::string::npos) << "which file: " << error.what();
  }
}

TEST(foreign_file, is_refused_with_a_reason) {
  expect_refused({}, "empty");
  expect_refused({0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0}, "gzip");
  expect_refused({'{', '"', 't', '"', ':', '1', '}', '\n'}, "JSON");
  expect_refused(bytes(1000, 0), "not a recording");
  bytes newer = make(1, 1).file;
  newer[8] = 2;
  expect_refused(newer, "version 2");
  bytes header_only = make(1, 1).file;
  header_only.resize(48);
  expect_refused(header_only, "at offset 48");
  EXPECT_THROW(file_source("/nonexistent/recording"), recording_error);
  EXPECT_THROW(file_source("/dev/zero"), recording_error);
}

// Somebody who can compute checksums: changes a block header and makes it look right.
template <class change>
bytes forged(const layout& made, size_t block, change&& what) {
  bytes file = made.file;
  const size_t at = made.blocks.at(block).offset;
  block_header header;
  std::memcpy(&header, file.data() + at, sizeof header);
  what(header);
  header.checksum = checksum_of(header);
  std::memcpy(file.data() + at, &header, sizeof header);
  return file;
}

TEST(hostile_recording, claims_no_memory_and_no_time_that_its_size_does_not_justify) {
  const layout made = make(3, 4);
  for (const uint32_t huge : {0x7fffffffu, 0xffffffffu, max_content_bytes, max_content_bytes + 1}) {
    const read_back stored = read_all(forged(made, 2, [&](block_header& h) { h.stored_bytes = huge; }));
    EXPECT_LE(stored.times.size(), 12u);
    EXPECT_FALSE(stored.faults.empty());
    const read_back content = read_all(forged(made, 2, [&](block_header& h) { h.content_bytes = huge; }));
    EXPECT_LE(content.times.size(), 12u);
    EXPECT_FALSE(content.faults.empty());
  }
  const read_back plain = read_all(forged(made, 2, [](block_header& h) {
    h.flags |= block_flag_plain;
    h.content_bytes = h.stored_bytes;
  }));
  EXPECT_FALSE(plain.faults.empty()) << "compressed bytes are no batch";
  EXPECT_EQ(plain.times.size(), 8u);
}

TEST(hostile_recording, an_index_that_leads_in_circles_ends) {
  layout made = make(3, 4);
  const block_place index = made.blocks.back();
  ASSERT_EQ(index.header.kind, block_kind::index);
  // An index block that names itself as the one before, with right checksums.
  bytes content;
  append(content, index_content{index.offset, 0});
  block_packer packer;
  block_header header = index.header;
  const std::span<const uint8_t> block = packer.pack(header, content);
  bytes file(made.file.begin(), made.file.begin() + static_cast<ptrdiff_t>(index.offset));
  file.insert(file.end(), block.begin(), block.end());
  trailer last{};
  std::memcpy(last.magic, trailer_magic, sizeof last.magic);
  last.file_id = about().file_id;
  last.index_offset = index.offset;
  last.checksum = checksum_of(last);
  append(file, last);
  const file_on_disk on_disk(file);
  file_source source(on_disk.path());
  source.select({utc_of(1000), std::nullopt});
  EXPECT_EQ(read_all(source).times.size(), 12u);
}

// The content of a block is another one, with right checksums.
template <class change>
bytes refilled(const layout& made, size_t block, change&& what) {
  const block_place& place = made.blocks.at(block);
  const file_on_disk on_disk(made.file);
  recording_reader reader(on_disk.path());
  const std::span<const uint8_t> before = reader.content(place);
  bytes content(before.begin(), before.end());
  what(content);
  block_packer packer;
  block_header header = place.header;
  const std::span<const uint8_t> packed = packer.pack(header, content);
  const auto begin = made.file.begin() + static_cast<ptrdiff_t>(place.offset);
  bytes file(made.file.begin(), begin);
  file.insert(file.end(), packed.begin(), packed.end());
  file.insert(file.end(), begin + static_cast<ptrdiff_t>(padded(sizeof(block_header) + place.header.stored_bytes)), made.file.end());
  return file;
}

template <class layout_of, class change>
void change_front(bytes& content, change&& what) {
  layout_of front{};
  ASSERT_GE(content.size(), sizeof front);
  std::memcpy(&front, content.data(), sizeof front);
  what(front);
  std::memcpy(content.data(), &front, sizeof front);
}

size_t end_block(const layout& made) {
  for (size_t i = 0; i < made.blocks.size(); ++i) {
    if (made.blocks[i].header.kind == block_kind::end) return i;
  }
  throw std::logic_error("no end block");
}

TEST(hostile_recording, a_header_that_is_too_short_for_itself_or_stands_askew_is_refused) {
  for (const uint16_t length : {0, 40, 47, 49, 52}) {
    bytes file = make(1, 1).file;
    recording_header header;
    std::memcpy(&header, file.data(), sizeof header);
    header.header_bytes = length;
    header.checksum = checksum_of(header);
    std::memcpy(file.data(), &header, sizeof header);
    expect_refused(file, fmt::format("at offset 10: a header of {} bytes", length).c_str());
  }
}

TEST(hostile_recording, a_first_block_of_another_protocol_or_too_short_for_its_parts_is_refused) {
  const layout made = make(1, 1);
  const bytes other = refilled(made, 0, [](bytes& content) {
    const uint32_t version = protocol::version + 1;
    std::memcpy(content.data() + sizeof(about_content), &version, sizeof version);
  });
  expect_refused(other, fmt::format("speaks version {} of the protocol", protocol::version + 1).c_str());
  for (const size_t left : {0, 8, 16}) {
    expect_refused(refilled(made, 0, [&](bytes& content) { content.resize(left); }), "the first block does not say what was recorded");
  }
}

TEST(hostile_recording, an_end_that_lacks_what_it_names_is_said_and_costs_no_event) {
  const layout made = make(3, 4);
  const size_t end = end_block(made);
  const auto expect_fault = [&](const bytes& file, const char* what) {
    const read_back got = read_all(file);
    EXPECT_EQ(got.times, times(12)) << what;
    EXPECT_FALSE(got.has_end) << what;
    ASSERT_EQ(got.faults.size(), 1u) << what;
    EXPECT_NE(got.faults[0].find(fmt::format("at offset {}: ", made.blocks.at(end).offset)), std::string::npos) << got.faults[0];
    EXPECT_NE(got.faults[0].find(what), std::string::npos) << got.faults[0];
  };
  expect_fault(refilled(made, end, [](bytes& content) {
    change_front<end_content>(content, [](end_content& front) { front.row_count = 0xffffffff; });
  }), "the end block names 4294967295 rows and 0 counts");
  expect_fault(refilled(made, end, [](bytes& content) {
    change_front<end_content>(content, [](end_content& front) { front.raised_count = 0xffffffff; });
  }), "the end block names 0 rows and 4294967295 counts");
  expect_fault(refilled(made, end, [](bytes& content) { content.resize(sizeof(end_content)); }), "the end block has 40 bytes");
  expect_fault(refilled(made, end, [](bytes& content) { content.clear(); }), "the end block has 0 bytes");
}

TEST(hostile_recording, more_than_a_reader_would_take_is_not_packed) {
  block_packer packer;
  block_header header{};
  EXPECT_NO_THROW((void)packer.pack(header, bytes(max_content_bytes)));
  EXPECT_THROW((void)packer.pack(header, bytes(max_content_bytes + 1)), std::runtime_error);
}

TEST(hostile_recording, blocks_of_a_kind_that_is_not_known_are_passed_over) {
  const layout made = make(3, 4);
  const read_back got =
      read_all(forged(made, 2, [](block_header& h) { h.kind = static_cast<block_kind>(77); }));
  EXPECT_EQ(got.times.size(), 8u);
  EXPECT_EQ(got.missing, 4u);
}

}  // namespace
}  // namespace sluice
