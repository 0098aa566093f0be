// From the bytes of a perf ring to records.
#include <gtest/gtest.h>
#include <linux/perf_event.h>

#include <cstring>

#include "kernel_port/sources/live/live_error.h"
#include "kernel_port/sources/live/perf_ring.h"
#include "kernel_port/sources/live/record_merge.h"
#include "kernel_port/sources/live/record_parser.h"
#include "tests/kernel_port/live_fixture.h"

namespace sluice::live {
namespace {

// A record as the kernel writes it: fields, then the trailer, then the size into the header.
class record_bytes {
 public:
  explicit record_bytes(uint32_t type, uint16_t misc = 0) {
    add(perf_event_header{.type = type, .misc = misc, .size = 0});
  }
  template <typename value_type>
  record_bytes& add(const value_type& value) {
    return add_bytes(&value, sizeof value);
  }
  record_bytes& add_text(const std::string& text) {
    static constexpr uint8_t padding[8] = {};
    add_raw(text);
    return add_bytes(padding, 8 - bytes_.size() % 8);
  }
  record_bytes& add_raw(const std::string& text) { return add_bytes(text.data(), text.size()); }
  std::vector<uint8_t> finish(uint64_t time = 77, uint32_t cpu = 3) {
    add(uint32_t{1}).add(uint32_t{1}).add(time).add(cpu).add(uint32_t{0});
    return finish_without_trailer();
  }
  std::vector<uint8_t> finish_without_trailer() {
    auto size = static_cast<uint16_t>(bytes_.size());
    std::memcpy(bytes_.data() + offsetof(perf_event_header, size), &size, sizeof size);
    return bytes_;
  }

 private:
  record_bytes& add_bytes(const void* from, size_t count) {
    bytes_.resize(bytes_.size() + count);
    std::memcpy(bytes_.data() + bytes_.size() - count, from, count);
    return *this;
  }

  std::vector<uint8_t> bytes_;
};

std::vector<uint8_t> task_record(uint32_t type, int32_t pid, int32_t tid, int32_t parent_pid, int32_t parent_tid,
                                 uint64_t time = 77) {
  return record_bytes(type).add(pid).add(parent_pid).add(tid).add(parent_tid).add(uint64_t{1}).finish(time);
}

std::vector<uint8_t> name_record(uint16_t misc, const std::string& name) {
  return record_bytes(PERF_RECORD_COMM, misc).add(int32_t{10}).add(int32_t{11}).add_text(name).finish();
}

std::vector<uint8_t> mapping_record(const std::string& path) {
  return record_bytes(PERF_RECORD_MMAP2)
      .add(int32_t{10})
      .add(int32_t{11})
      .add(uint64_t{0x7000})
      .add(uint64_t{0x2000})
      .add(uint64_t{0})
      .add(uint32_t{8})
      .add(uint32_t{1})
      .add(uint64_t{99})
      .add(uint64_t{0})
      .add(uint32_t{5})
      .add(uint32_t{2})
      .add_text(path)
      .finish();
}

TEST(live_parser, a_fork_tells_the_new_task_and_the_one_that_forked) {
  linux_record record = parse_record(task_record(PERF_RECORD_FORK, 20, 20, 10, 11));
  EXPECT_EQ(record.kind, record_kind::fork);
  EXPECT_EQ(record.pid, 20);
  EXPECT_EQ(record.tid, 20);
  EXPECT_EQ(record.parent_pid, 10);
  EXPECT_EQ(record.parent_tid, 11);
  EXPECT_EQ(record.time, 77u) << "the trailer's time";
  EXPECT_EQ(record.cpu, 3u);
  EXPECT_TRUE(record.is_process_fork());
  EXPECT_TRUE(parse_record(task_record(PERF_RECORD_FORK, 10, 12, 10, 11)).is_thread_fork());
}

TEST(live_parser, an_exit_tells_its_task) {
  linux_record record = parse_record(task_record(PERF_RECORD_EXIT, 20, 21, 10, 10));
  EXPECT_EQ(record.kind, record_kind::exit);
  EXPECT_EQ(record.pid, 20);
  EXPECT_EQ(record.tid, 21);
}

TEST(live_parser, a_name_given_by_exec_is_told_from_a_plain_rename) {
  linux_record record = parse_record(name_record(PERF_RECORD_MISC_COMM_EXEC, "true"));
  EXPECT_EQ(record.kind, record_kind::name);
  EXPECT_TRUE(record.is_exec());
  EXPECT_EQ(record.text, "true");
  EXPECT_FALSE(parse_record(name_record(0, "worker")).is_exec());
}

TEST(live_parser, a_mapping_has_place_size_and_path) {
  linux_record record = parse_record(mapping_record("/usr/bin/true"));
  EXPECT_EQ(record.kind, record_kind::mapping);
  EXPECT_EQ(record.address, 0x7000u);
  EXPECT_EQ(record.length, 0x2000u);
  EXPECT_EQ(record.text, "/usr/bin/true");
}

TEST(live_parser, both_kinds_of_loss_carry_their_count) {
  auto lost = record_bytes(PERF_RECORD_LOST).add(uint64_t{5}).add(uint64_t{42}).finish();
  EXPECT_EQ(parse_record(lost).kind, record_kind::lost);
  EXPECT_EQ(parse_record(lost).lost, 42u);
  auto samples = record_bytes(PERF_RECORD_LOST_SAMPLES).add(uint64_t{43}).finish();
  EXPECT_EQ(parse_record(samples).kind, record_kind::lost_samples);
  EXPECT_EQ(parse_record(samples).lost, 43u);
}

TEST(live_parser, an_unknown_type_is_no_error) {
  EXPECT_EQ(parse_record(record_bytes(9999).finish_without_trailer()).kind, record_kind::unknown);
}

TEST(live_parser, every_truncation_of_every_known_record_is_refused) {
  for (const auto& whole : {task_record(PERF_RECORD_FORK, 20, 20, 10, 11), task_record(PERF_RECORD_EXIT, 2, 2, 1, 1),
                            name_record(0, "a"), mapping_record("/b"),
                            record_bytes(PERF_RECORD_LOST).add(uint64_t{5}).add(uint64_t{42}).finish()}) {
    for (size_t size = 0; size < whole.size(); size += 8) {
      std::vector<uint8_t> cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
      if (size >= sizeof(perf_event_header)) {
        auto said = static_cast<uint16_t>(size);
        std::memcpy(cut.data() + offsetof(perf_event_header, size), &said, sizeof said);
      }
      // The longer strings lose their end, everything else its last field.
      EXPECT_THROW(parse_record(cut), live_error) << size << " of " << whole.size() << " bytes";
    }
  }
}

TEST(live_parser, a_size_that_contradicts_the_bytes_is_refused) {
  auto bytes = name_record(0, "name");
  bytes.resize(bytes.size() + 8);
  EXPECT_THROW(parse_record(bytes), live_error);
}

TEST(live_parser, a_string_without_an_end_is_refused) {
  auto bytes = record_bytes(PERF_RECORD_COMM).add(int32_t{1}).add(int32_t{1}).add_raw("12345678").finish();
  try {
    parse_record(bytes);
    FAIL() << "accepted";
  } catch (const live_error& error) {
    EXPECT_EQ(error.kind(), live_error_kind::malformed);
    EXPECT_NE(std::string(error.what()).find("without an end"), std::string::npos) << error.what();
  }
}

// The kernel's side of a ring, over plain memory.
struct memory_ring {
  explicit memory_ring(size_t size, uint64_t start = 0) : data(size) { page.data_head = page.data_tail = start; }
  void write(const std::vector<uint8_t>& bytes) {
    for (size_t i = 0; i < bytes.size(); ++i) data[(page.data_head + i) % data.size()] = bytes[i];
    page.data_head += bytes.size();
  }
  perf_event_mmap_page page{};
  std::vector<uint8_t> data;
};

TEST(live_perf_ring, a_record_across_the_end_comes_whole_at_every_offset) {
  auto bytes = mapping_record("/some/library/with/a/name");
  for (uint64_t start = 0; start < 512; start += 8) {
    memory_ring memory(512, start);
    perf_ring ring(&memory.page, memory.data, 0);
    memory.write(bytes);
    ring.look();
    auto read = ring.next();
    ASSERT_EQ(std::vector<uint8_t>(read.begin(), read.end()), bytes) << "from " << start;
    EXPECT_TRUE(ring.next().empty());
    ring.release();
    EXPECT_EQ(memory.page.data_tail, start + bytes.size());
  }
}

TEST(live_perf_ring, positions_beyond_32_bits_are_positions) {
  memory_ring memory(512, (uint64_t{1} << 32) - 16);
  perf_ring ring(&memory.page, memory.data, 0);
  memory.write(name_record(0, "x"));
  memory.write(name_record(0, "y"));
  ring.look();
  EXPECT_EQ(parse_record(ring.next()).text, "x");
  EXPECT_EQ(parse_record(ring.next()).text, "y");
}

TEST(live_perf_ring, what_was_not_looked_at_is_not_read_and_not_given_back) {
  memory_ring memory(512);
  perf_ring ring(&memory.page, memory.data, 0);
  auto bytes = name_record(0, "x");
  memory.write(bytes);
  ring.look();
  memory.write(bytes);
  EXPECT_FALSE(ring.next().empty());
  EXPECT_TRUE(ring.next().empty());
  ring.release();
  EXPECT_EQ(memory.page.data_tail, bytes.size());
  ring.look();
  EXPECT_FALSE(ring.next().empty());
}

TEST(live_perf_ring, a_size_that_no_record_has_is_refused_with_its_place) {
  for (uint16_t size : {uint16_t{0}, uint16_t{7}, uint16_t{12}, uint16_t{400}}) {
    memory_ring memory(512);
    perf_ring ring(&memory.page, memory.data, 6);
    auto bytes = name_record(0, "x");
    std::memcpy(bytes.data() + offsetof(perf_event_header, size), &size, sizeof size);
    memory.write(bytes);
    ring.look();
    try {
      (void)ring.next();
      FAIL() << "accepted size " << size;
    } catch (const live_error& error) {
      EXPECT_EQ(error.kind(), live_error_kind::malformed);
      EXPECT_NE(std::string(error.what()).find("CPU 6"), std::string::npos) << error.what();
    }
  }
}

TEST(live_perf_ring, a_head_further_than_the_ring_is_long_is_refused) {
  memory_ring memory(512);
  perf_ring ring(&memory.page, memory.data, 0);
  memory.page.data_head = 1024;
  ring.look();
  EXPECT_THROW((void)ring.next(), live_error);
}

TEST(live_merge, gives_records_of_all_rings_by_time) {
  record_merge merge(2);
  merge.add(0, exit_record(10, {1, 1}));
  merge.add(0, exit_record(30, {3, 3}));
  merge.add(1, exit_record(20, {2, 2}));
  auto taken = merge.take(100);
  ASSERT_EQ(taken.size(), 3u);
  for (int32_t i = 0; i < 3; ++i) EXPECT_EQ(taken[static_cast<size_t>(i)].pid, i + 1);
  EXPECT_FALSE(merge.holds_records());
}

TEST(live_merge, keeps_what_is_not_older_than_the_moment_before_the_rings_were_read) {
  // CPU 1's record was read after CPU 0's ring had been: its cause may stand in CPU 0's ring by now.
  record_merge merge(2);
  merge.add(1, exit_record(50, {2, 2}));
  EXPECT_TRUE(merge.take(50).empty());
  EXPECT_TRUE(merge.holds_records());
  merge.add(0, fork_record(49, {1, 1}, {2, 2}));
  auto taken = merge.take(60);
  ASSERT_EQ(taken.size(), 2u);
  EXPECT_EQ(taken[0].kind, record_kind::fork);
  EXPECT_EQ(merge.out_of_order(), 0u);
}

TEST(live_merge, a_record_visible_too_late_is_given_and_counted) {
  record_merge merge(2);
  merge.add(0, exit_record(20, {1, 1}));
  ASSERT_EQ(merge.take(30).size(), 1u);
  merge.add(1, exit_record(10, {2, 2}));
  EXPECT_EQ(merge.take(40).size(), 1u);
  EXPECT_EQ(merge.out_of_order(), 1u);
}

TEST(live_merge, a_clock_that_steps_back_does_not_turn_a_ring_around) {
  record_merge merge(1);
  merge.add(0, exit_record(20, {1, 1}));
  merge.add(0, exit_record(19, {2, 2}));
  auto taken = merge.take(100);
  ASSERT_EQ(taken.size(), 2u);
  EXPECT_EQ(taken[0].pid, 1);
  EXPECT_EQ(taken[1].pid, 2);
}

}  // namespace
}  // namespace sluice::live
