// consumers/image: core files, whole, cut and hostile.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "tests/consumers/image_support.h"

using namespace sluice;
using namespace sluice::test;
using namespace sluice::image;

TEST(image, a_core_file_is_read_across_its_segments) {
  dead_machine machine(2);
  write_in_turn(machine, 60, 2);
  const blob memory = machine.memory();
  // Split where the kernel splits: at a page within a region.
  const size_t cut = 2 * 4096;
  const blob first(memory.begin(), memory.begin() + cut), second(memory.begin() + cut, memory.end());
  const file_on_disk file(make_core({{0x400000, blob(4096, 0x7f), 4096},
                                     {0x7f0000000000, first, first.size()},
                                     {0x7f0000000000 + cut, second, second.size()},
                                     {0x7fff00000000, {}, 8192}}));
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), up_to(60));
  EXPECT_EQ(source.report().kind, image_kind::core);
  EXPECT_EQ(ring_of(source, 0).address, 0x7f0000000000u);
  EXPECT_TRUE(source.take_faults().empty());
}

TEST(image, pages_that_a_core_file_lacks_are_damage_and_no_more) {
  dead_machine machine(1);
  for (uint64_t i = 0; i < 120; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  const blob region = dead_machine::region_of(machine.main(0));
  // Only the producer's page and the first 1000 bytes of data; the consumer's page is in a segment of its own.
  const blob first(region.begin(), region.begin() + 4096 + 1000);
  const blob last(region.end() - 4096, region.end());
  const file_on_disk file(
      make_core({{0x10000, first, region.size() - 4096}, {0x10000 + region.size() - 4096, last, last.size()}}));
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), up_to(41));  // 1000 / 24
  EXPECT_EQ(ring_of(source, 0).damaged_bytes(), (120u - 41) * 24);
}

TEST(image, a_core_file_that_is_cut_says_so) {
  dead_machine machine(1);
  for (uint64_t i = 0; i < 120; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  const blob memory = machine.memory();
  blob core = make_core({{0x10000, memory, memory.size()}});
  core.resize(core.size() - memory.size() + 4096 + 1000);
  const file_on_disk file(core);
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), up_to(41));
  const std::vector<std::string> faults = source.take_faults();
  ASSERT_FALSE(faults.empty());
  EXPECT_NE(faults[0].find("the core file is cut: "), std::string::npos) << faults[0];
}

TEST(image, hostile_core_files_are_refused_or_read_as_far_as_they_go) {
  dead_machine machine(1);
  ASSERT_EQ(machine.write(0, 0), reserve_status::ok);
  const blob memory = machine.memory();
  const blob core = make_core({{0x10000, memory, memory.size()}});
  const auto with = [&](size_t at, auto value) {
    blob changed = core;
    std::memcpy(&changed[at], &value, sizeof value);
    const file_on_disk file(changed);
    return message_of(file.path());
  };
  EXPECT_NE(with(offsetof(Elf64_Ehdr, e_type), Elf64_Half{ET_EXEC}).find("not a core file"), std::string::npos);
  EXPECT_NE(with(EI_CLASS, static_cast<unsigned char>(ELFCLASS32)).find("64-bit"), std::string::npos);
  EXPECT_NE(with(offsetof(Elf64_Ehdr, e_phentsize), Elf64_Half{1}).find("program headers of 1 bytes"), std::string::npos);
  EXPECT_NE(with(offsetof(Elf64_Ehdr, e_phoff), ~Elf64_Off{0}).find("no rings"), std::string::npos);
  EXPECT_EQ(with(offsetof(Elf64_Ehdr, e_phnum), Elf64_Half{PN_XNUM - 1}), "");
  EXPECT_EQ(with(offsetof(Elf64_Ehdr, e_phnum), Elf64_Half{PN_XNUM}).find("no rings") == std::string::npos, false);
  const size_t load = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);
  EXPECT_NE(with(load + offsetof(Elf64_Phdr, p_offset), ~Elf64_Off{0} - 100).find("no rings"), std::string::npos);
  EXPECT_NE(with(load + offsetof(Elf64_Phdr, p_vaddr), ~Elf64_Addr{0} - 100).find("past the last address"), std::string::npos);
  EXPECT_EQ(with(load + offsetof(Elf64_Phdr, p_filesz), ~Elf64_Xword{0}), "");
  EXPECT_NE(message_of(file_on_disk(blob(core.begin(), core.begin() + 30)).path()).find("cut within its first header"),
            std::string::npos);
}

TEST(image, a_core_file_without_the_words_that_say_where_a_ring_ends_has_no_events_of_it) {
  dead_machine machine(2);
  write_in_turn(machine, 20, 2);
  const blob first = dead_machine::region_of(machine.main(0)), second = dead_machine::region_of(machine.main(1));
  const blob start(first.begin(), first.begin() + offsetof(producer_page<native_seam>, published));
  const file_on_disk file(make_core({{0x10000, start, first.size()}, {0x100000, second, second.size()}}));
  image_source source(file.path());
  EXPECT_EQ(read_all(source).size(), 10u) << "of the other ring";
  const ring_report& ring = ring_of(source, 0);
  EXPECT_EQ(ring.begin, ring.published);
  const std::vector<std::string> faults = source.take_faults();
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0], "cpu 0, main ring: the page that says where the ring ends is not in the image");
}

TEST(image, segments_over_others_are_not_read) {
  dead_machine machine(1);
  for (uint64_t i = 0; i < 20; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  const blob memory = machine.memory();
  const file_on_disk file(make_core({{0x10000, memory, memory.size()},
                                     {0x11000, blob(4096, 0xff), 4096},                       // over the data
                                     {0x10000 + memory.size() - 1, blob(4096, 0xff), 4096},  // over the last byte
                                     {0x10000 + memory.size() + 4096, blob(4096, 0xff), 4096}}));
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), up_to(20));
  const std::vector<std::string> faults = source.take_faults();
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0], "2 segments overlap others at a lower address, and are not read");
}

TEST(image, a_core_file_that_shrinks_while_it_is_read_lacks_what_it_lost) {
  const file_on_disk file(make_core({{0x10000, blob(4096, 1), 4096}, {0x12000, blob(4096, 2), 4096}}));
  const image_memory memory(file.path());
  const auto& first = memory.segments()[0];
  ASSERT_EQ(::truncate(file.path().c_str(), static_cast<off_t>(first.offset + 1000)), 0);
  blob bytes(3 * 4096, 0x77);
  std::vector<byte_range> missing;
  memory.read(0x10000, bytes, missing);
  ASSERT_EQ(missing.size(), 1u) << "what was lost, and what no segment has, are one";
  EXPECT_EQ(missing[0].begin, 0x10000u + 1000);
  EXPECT_EQ(missing[0].end, 0x13000u);
  EXPECT_EQ(std::count(bytes.begin(), bytes.end(), 1), 1000);
  memory.read(0x10000, bytes);
  EXPECT_EQ(std::count(bytes.begin(), bytes.end(), 0), 3 * 4096 - 1000);
}

// Headers that claim the largest rings there are, and have nothing behind them: what they cost is what the file has.
TEST(image, rings_that_are_not_there_cost_nothing_however_large_they_claim_to_be) {
  std::vector<core_segment> segments;
  for (uint64_t i = 0; i < 200; ++i) {
    const ring_geometry huge{max_capacity, max_loss_record, 0};
    blob page(4096 + 4096);
    region_header header{};
    {
      dead_machine machine(1);
      header = machine.main(0).view.producer->header;
    }
    header.capacity = huge.capacity;
    header.max_record = huge.max_record;
    header.critical_bytes = 0;
    header.consumer_offset = region_consumer_offset(huge);
    header.region_bytes = region_bytes(huge);
    header.cpu = static_cast<uint16_t>(i);
    header.cpu_count = 200;
    header.start_position = 0;
    header.checksum = checksum_of(header);
    std::memcpy(page.data(), &header, sizeof header);
    const uint32_t published = max_capacity;
    std::memcpy(&page[offsetof(producer_page<native_seam>, published)], &published, sizeof published);
    segments.push_back({(i + 1) << 32, page, page.size()});
    // A few records at the end, so that what lies between is bridged.
    blob tail(4096);
    for (size_t at = 0; at < tail.size(); at += 64) {
      const record_header record{make_state_and_length(record_state::committed, 64), critical_type, 1, 0, 7, 0};
      std::memcpy(&tail[at], &record, sizeof record);
    }
    segments.push_back({((i + 1) << 32) + 4096 + max_capacity - 4096, tail, tail.size()});
  }
  const file_on_disk file(make_core(segments));
  rusage use{};
  ASSERT_EQ(::getrusage(RUSAGE_SELF, &use), 0);
  const long resident = use.ru_maxrss;
  image_source source(file.path());
  EXPECT_EQ(read_all(source).size(), 200u * 64);
  ASSERT_EQ(::getrusage(RUSAGE_SELF, &use), 0);
  EXPECT_LT(use.ru_maxrss - resident, 1 << 20) << "KiB; the rings claim 200 GiB";
}
