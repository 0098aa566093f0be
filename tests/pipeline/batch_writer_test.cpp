// pipeline/batch_writer.h: what it writes, parsed here by hand.
#include "pipeline/batch_writer.h"

#include <gtest/gtest.h>

#include "tests/pipeline/support.h"

using namespace sluice;
using namespace sluice::test;

namespace {

struct batch_case : testing::Test {
  manual_time time{100, 1, {}};
  test_cpu cpu{manual_clock{&time}, [] {
                 cpu_options options;
                 options.cpu = 7;
                 return options;
               }()};
  reader from;
  alignas(8) uint8_t buffer[1024];

  void SetUp() override {
    from.attach(cpu.main.view);
    std::memset(buffer, 0xee, sizeof buffer);
  }
  template <class part>
  part at(uint32_t offset) const {
    part value;
    std::memcpy(&value, buffer + offset, sizeof value);
    return value;
  }
};

}  // namespace

TEST_F(batch_case, a_batch_holds_header_entries_and_records_and_no_stale_byte) {
  ASSERT_EQ(cpu.write(1, 9), reserve_status::ok);
  ASSERT_EQ(cpu.write(2, 16), reserve_status::ok);
  batch_writer writer;
  writer.begin(buffer, sizeof buffer, boot, frequency);
  for (int i = 0; i < 2; ++i) {
    const ring_head head = from.look();
    record_view<native_seam> seen = from.view(head);
    seen.late = i == 1;
    ASSERT_TRUE(writer.add(seen));
    from.take(head);
  }
  const uint32_t total = writer.finish();
  EXPECT_EQ(total, 32u + 16 + 32 + 16 + 32);
  const batch_header header = at<batch_header>(0);
  EXPECT_EQ(header.magic, batch_magic);
  EXPECT_EQ(header.version, batch_version);
  EXPECT_EQ(header.header_bytes, 32);
  EXPECT_EQ(header.total_bytes, total);
  EXPECT_EQ(header.record_count, 2u);
  EXPECT_EQ(header.boot, boot);
  EXPECT_EQ(header.clock_frequency, frequency);
  const batch_entry first = at<batch_entry>(32);
  EXPECT_EQ(first.entry_bytes, 48u);
  EXPECT_EQ(first.cpu, 7);
  EXPECT_EQ(first.lane, lane_main);
  EXPECT_EQ(first.flags, 0);
  EXPECT_EQ(first.position, 0u);
  const record_header copied = at<record_header>(48);
  EXPECT_EQ(copied.state_and_length, make_state_and_length(record_state::committed, 25));
  EXPECT_EQ(copied.type, ordinary_type);
  EXPECT_EQ(time_of(copied), 100u);
  EXPECT_EQ(at<uint64_t>(64), 1u);
  for (uint32_t i = 48 + 25; i < 80; ++i) EXPECT_EQ(buffer[i], 0) << i;
  const batch_entry second = at<batch_entry>(80);
  EXPECT_EQ(second.flags, batch_flag_late);
  EXPECT_EQ(second.position, 32u);
  EXPECT_EQ(buffer[total], 0xee) << "nothing behind the batch is touched";
}

TEST_F(batch_case, a_record_that_does_not_fit_is_refused_whole) {
  ASSERT_EQ(cpu.write(1, 16), reserve_status::ok);
  const record_view<native_seam> seen = from.view(from.look());
  for (uint32_t size = 32; size < 32 + 48; ++size) {
    batch_writer writer;
    writer.begin(buffer, size, boot, frequency);
    EXPECT_FALSE(writer.add(seen)) << size;
    EXPECT_EQ(writer.finish(), 32u);
  }
  batch_writer writer;
  writer.begin(buffer, 80, boot, frequency);
  EXPECT_TRUE(writer.add(seen));
  EXPECT_FALSE(writer.add(seen));
  EXPECT_EQ(writer.record_count(), 1u);
  EXPECT_EQ(writer.finish(), 80u);
}

// R4: a gap that nothing follows travels as figures.
TEST_F(batch_case, r4_figures_are_a_loss_payload_marked_as_such) {
  loss_summary figures;
  figures.first_time = 5;
  figures.last_time = 9;
  figures.bytes = 640;
  figures.events = 7;
  figures.dropped[40] = 3;
  figures.dropped[63] = 4;
  batch_writer writer;
  writer.begin(buffer, sizeof buffer, boot, frequency);
  ASSERT_TRUE(writer.add_figures(7, figures));
  EXPECT_EQ(writer.finish(), 32u + 16 + record_header_size + sizeof(loss_payload) + 2 * sizeof(loss_entry));
  EXPECT_EQ(at<batch_entry>(32).flags, batch_flag_figures);
  const record_header copied = at<record_header>(48);
  EXPECT_EQ(copied.type, record_type_loss);
  const uint32_t length = length_of(copied.state_and_length);
  const decoded_loss loss = decode_loss(std::vector<uint8_t>(buffer + 64, buffer + 48 + length));
  EXPECT_EQ(loss.fixed.events, 7u);
  EXPECT_EQ(loss.fixed.bytes, 640u);
  ASSERT_EQ(loss.entries.size(), 2u);
  EXPECT_EQ(loss.entries[0].type, 40);
  EXPECT_EQ(loss.entries[0].events, 3u);
  EXPECT_EQ(loss.entries[1].type, 63);
}
