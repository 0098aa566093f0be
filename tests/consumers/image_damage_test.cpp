// consumers/image: rings with damaged, hostile and missing bytes.
#include <fmt/format.h>

#include <algorithm>

#include "tests/consumers/image_support.h"

using namespace sluice;
using namespace sluice::test;
using namespace sluice::image;

TEST(image, behind_a_damaged_record_the_next_ones_are_found) {
  dead_machine machine(1);
  for (uint64_t i = 0; i < 30; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  blob image = machine.memory();
  std::memset(&image[4096 + 10 * 24 + 4], 0, 100);  // in record 10: its type; up to the header of record 14
  const file_on_disk file(image);
  image_source source(file.path());
  std::vector<uint64_t> expected = up_to(30);
  expected.erase(expected.begin() + 10, expected.begin() + 15);
  EXPECT_EQ(values_of(read_all(source)), expected);
  const ring_report& ring = ring_of(source, 0);
  ASSERT_EQ(ring.damage.size(), 1u);
  EXPECT_EQ(ring.damage[0].position, 10u * 24);
  EXPECT_EQ(ring.damage[0].bytes, 5u * 24);
  const std::vector<std::string> faults = source.take_faults();
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0], "cpu 0, main ring: 120 bytes at position 240 are damaged: a record of no type");
}

TEST(image, two_damaged_places_leave_what_is_between_them) {
  dead_machine machine(1);
  for (uint64_t i = 0; i < 60; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  blob image = machine.memory();
  std::memset(&image[4096 + 10 * 24], 0xff, 16);
  std::memset(&image[4096 + 40 * 24], 0, 16);
  const file_on_disk file(image);
  image_source source(file.path());
  std::vector<uint64_t> expected = up_to(60);
  expected.erase(expected.begin() + 40);
  expected.erase(expected.begin() + 10);
  EXPECT_EQ(values_of(read_all(source)), expected);
  EXPECT_EQ(ring_of(source, 0).damage.size(), 2u);
}

TEST(image, a_payload_that_looks_like_records_is_not_read_as_any) {
  dead_machine machine(1);
  ASSERT_EQ(machine.write(0, 0), reserve_status::ok);
  std::vector<uint8_t> forged(20 * 24);  // records of the right form from another time
  for (size_t i = 0; i < 20; ++i) {
    const record_header fake{make_state_and_length(record_state::committed, 24), ordinary_type, 1, 0, 0, 0};
    std::memcpy(&forged[i * 24], &fake, sizeof fake);
  }
  ASSERT_EQ(machine.rings(0).write(critical_type, 1, forged.data(), static_cast<uint32_t>(forged.size())), reserve_status::ok);
  for (uint64_t i = 1; i < 30; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  blob image = machine.memory();
  {
    const file_on_disk file(image);
    image_source source(file.path());
    EXPECT_EQ(read_all(source).size(), 31u);
  }
  image[4096 + 24 + 4] = 0;  // the record around them loses its type
  const file_on_disk file(image);
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), up_to(30)) << "their times are older than what came before";
}

TEST(image, a_record_that_is_longer_than_the_longest_is_none) {
  dead_machine machine(1);
  for (uint64_t i = 0; i < 120; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  blob image = machine.memory();
  // It would end where another one begins.
  const uint32_t word = make_state_and_length(record_state::committed, 60 * 24);
  ASSERT_GT(60u * 24, small_main.max_record);
  std::memcpy(&image[4096 + 10 * 24], &word, sizeof word);
  const file_on_disk file(image);
  image_source source(file.path());
  std::vector<uint64_t> expected = up_to(120);
  expected.erase(expected.begin() + 10);
  EXPECT_EQ(values_of(read_all(source)), expected);
  ASSERT_EQ(ring_of(source, 0).damage.size(), 1u);
  EXPECT_EQ(ring_of(source, 0).damage[0].bytes, 24u);
}

TEST(image, records_that_are_older_than_what_came_before_are_counted) {
  dead_machine machine(1);
  for (uint64_t i = 0; i < 30; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  blob image = machine.memory();
  for (const size_t record : {10u, 20u}) std::memset(&image[4096 + record * 24 + offsetof(record_header, time_low)], 0, 8);
  const file_on_disk file(image);
  image_source source(file.path());
  EXPECT_EQ(ring_of(source, 0).out_of_order, 2u);
}

TEST(image, a_record_from_after_the_end_of_time_is_damage) {
  dead_machine machine(1);
  for (uint64_t i = 0; i < 30; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  blob image = machine.memory();
  std::memset(&image[4096 + 10 * 24 + offsetof(record_header, time_low)], 0xff, 8);
  const file_on_disk file(image);
  image_source source(file.path());
  std::vector<uint64_t> expected = up_to(30);
  expected.erase(expected.begin() + 10);
  EXPECT_EQ(values_of(read_all(source)), expected);
  const std::vector<std::string> faults = source.take_faults();
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0], "cpu 0, main ring: 24 bytes at position 240 are damaged: a record from after the end of time");
}

TEST(image, a_cut_file_gives_what_it_has) {
  dead_machine machine(1);
  for (uint64_t i = 0; i < 100; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  blob image = dead_machine::region_of(machine.main(0));
  image.resize(4096 + 50 * 24 + 12);
  const file_on_disk file(image);
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), up_to(50));
  EXPECT_EQ(ring_of(source, 0).damaged_bytes(), 50u * 24);
  const std::vector<std::string> faults = source.take_faults();
  ASSERT_EQ(faults.size(), 2u);
  EXPECT_EQ(faults[0], "cpu 0, main ring: the page that says what was consumed is not in the image");
  EXPECT_EQ(faults[1], "cpu 0, main ring: 1200 bytes at position 1200 are damaged: the image lacks these bytes");
}

TEST(image, hostile_positions_are_not_followed) {
  dead_machine machine(1);
  for (uint64_t i = 0; i < 50; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  const blob whole = machine.memory();
  const size_t published = offsetof(producer_page<native_seam>, published);
  const size_t consumed = region_consumer_offset(small_main);
  for (const size_t word : {published, consumed}) {
    for (const uint32_t value : {~0u, 0x80000000u, 0x7fffffffu, 4097u, 4096u, 1201u, 1208u, 3u, 8u}) {
      blob image = whole;
      std::memcpy(&image[word], &value, sizeof value);
      const file_on_disk file(image);
      image_source source(file.path());
      const std::vector<image_event> events = read_all(source);
      EXPECT_FALSE(source.take_faults().empty()) << word << " " << value;
      if (word == consumed) {
        EXPECT_EQ(events.back().value, 49u) << value;
      }
    }
  }
}

TEST(image, lengths_beyond_the_end_are_damage) {
  dead_machine machine(1);
  for (uint64_t i = 0; i < 20; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  const blob whole = machine.memory();
  for (const uint32_t length : {0u, 8u, 15u, 1081u, 480u - 5 * 24 + 8, 0x0fffffffu}) {
    blob image = whole;
    const uint32_t word = make_state_and_length(record_state::committed, length);
    std::memcpy(&image[4096 + 5 * 24], &word, sizeof word);
    const file_on_disk file(image);
    image_source source(file.path());
    std::vector<uint64_t> expected = up_to(20);
    expected.erase(expected.begin() + 5);
    EXPECT_EQ(values_of(read_all(source)), expected) << length;
    EXPECT_EQ(source.take_faults().size(), 1u) << length;
  }
}

TEST(image, a_header_that_does_not_hold_is_named_with_its_place) {
  dead_machine machine(2);
  write_in_turn(machine, 20, 2);
  blob image = machine.memory();
  const size_t second = 2 * region_bytes(small_main);  // the main ring of cpu 1
  ++image[second + offsetof(region_header, version)];
  const file_on_disk file(image);
  image_source source(file.path());
  EXPECT_EQ(read_all(source).size(), 10u);
  const std::vector<std::string> faults = source.take_faults();
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0], "at 0x8000: ring region of an unknown version");
}

TEST(image, a_catalog_whose_header_does_not_hold_is_named_with_its_place) {
  dead_machine machine(1);
  ASSERT_EQ(machine.write(0, 42), reserve_status::ok);
  type_catalog catalog{};
  create_catalog(catalog, boot);
  ++catalog.header.capacity;  // its checksum is another one now
  blob image = machine.memory();
  const size_t at = image.size();
  const auto* const from = reinterpret_cast<const uint8_t*>(&catalog);
  image.insert(image.end(), from, from + sizeof catalog);
  const file_on_disk file(image);
  image_source source(file.path());
  EXPECT_EQ(read_all(source).size(), 1u);
  EXPECT_EQ(source.report().own_types, 0u);
  const std::vector<std::string> faults = source.take_faults();
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0], fmt::format("at 0x{:x}: a catalog of own types whose header does not hold", at));
}

TEST(image, a_region_inside_another_is_not_read) {
  dead_machine machine(1), forger(1, 0, boot + 1);
  ASSERT_EQ(forger.write(0, 666), reserve_status::ok);
  for (uint64_t i = 0; i < 10; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  blob image = machine.memory();
  const blob forged = dead_machine::region_of(forger.main(0));
  std::copy_n(forged.begin(), 4096, image.begin() + 4096 + 4096);  // on a page of the data
  const file_on_disk file(image);
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), up_to(10));
  EXPECT_EQ(source.report().boot, boot);
  EXPECT_TRUE(source.report().other_boots.empty());
  EXPECT_EQ(source.take_faults().size(), 1u);
}

TEST(image, rings_that_contradict_their_boot_are_left_out) {
  dead_machine machine(2);
  write_in_turn(machine, 20, 2);
  blob image = machine.memory();
  region_header header;
  const size_t second = 2 * region_bytes(small_main);
  std::memcpy(&header, &image[second], sizeof header);
  header.clock_frequency += 1;
  header.checksum = checksum_of(header);
  std::memcpy(&image[second], &header, sizeof header);
  const file_on_disk file(image);
  image_source source(file.path());
  EXPECT_EQ(read_all(source).size(), 10u);
  EXPECT_EQ(source.take_faults().size(), 1u);
}

TEST(image, what_is_no_image_is_refused_with_the_reason) {
  EXPECT_NE(message_of("/nonexistent").find("/nonexistent: No such file"), std::string::npos);
  EXPECT_NE(message_of("/").find("directory"), std::string::npos);
  EXPECT_NE(message_of(file_on_disk({}).path()).find("no rings of sluice in 0 bytes"), std::string::npos);
  EXPECT_NE(message_of(file_on_disk(blob(10000, 7)).path()).find("no rings of sluice in 10000 bytes of it"), std::string::npos);
  blob compressed(10000, 7);
  const uint8_t zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
  std::copy(std::begin(zstd), std::end(zstd), compressed.begin());
  EXPECT_NE(message_of(file_on_disk(compressed).path()).find("decompress it first"), std::string::npos);
}
