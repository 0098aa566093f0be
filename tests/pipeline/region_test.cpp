// pipeline/region.h: what a region is made of, and that nothing contradictory is accepted.
#include "pipeline/region.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/pipeline/support.h"

using namespace sluice;
using namespace sluice::test;

namespace {

struct region_case : testing::Test {
  region_memory memory{region_bytes(small_main)};
  region_view<native_seam> made = create_region(memory.get(), small_main, {boot, frequency, 3, lane_spare, 0xfffffff8});
  region_header& header = made.producer->header;

  region_status check() {
    region_view<native_seam> view;
    return check_region(memory.get(), memory.bytes(), view);
  }
};

}  // namespace

TEST_F(region_case, what_was_created_is_accepted_and_read_back) {
  region_view<native_seam> view;
  ASSERT_EQ(check_region(memory.get(), memory.bytes(), view), region_status::ok);
  EXPECT_EQ(view.producer, made.producer);
  EXPECT_EQ(view.consumer, made.consumer);
  EXPECT_EQ(view.data.bytes(0), made.data.bytes(0));
  EXPECT_EQ(view.geometry.capacity, small_main.capacity);
  EXPECT_EQ(view.geometry.max_record, small_main.max_record);
  EXPECT_EQ(view.geometry.critical_bytes, small_main.critical_bytes);
  EXPECT_EQ(view.start_position, 0xfffffff8u);
  EXPECT_EQ(view.cpu, 3);
  EXPECT_EQ(view.lane, lane_spare);
  EXPECT_EQ(view.producer->published.load(memory_order::relaxed), 0xfffffff8u);
  EXPECT_EQ(view.consumer->consumed.load(memory_order::relaxed), 0xfffffff8u);
}

// The figure of every CRC-32 there is: what other tools compute is the same.
TEST(region, the_checksum_is_the_usual_one) {
  EXPECT_EQ(checksum("123456789", 9), 0xcbf43926u);
  EXPECT_EQ(checksum("", 0), 0u);
}

TEST_F(region_case, a_refused_region_leaves_the_view_alone) {
  region_view<native_seam> view;
  header.magic ^= 1;
  EXPECT_EQ(check_region(memory.get(), memory.bytes(), view), region_status::wrong_magic);
  EXPECT_EQ(view.producer, nullptr);
  EXPECT_EQ(view.consumer, nullptr);
}

TEST_F(region_case, wrong_memory_is_refused) {
  region_view<native_seam> view;
  EXPECT_EQ(check_region(memory.get(), 0, view), region_status::too_short);
  EXPECT_EQ(check_region(memory.get(), sizeof(producer_page<native_seam>) - 1, view), region_status::too_short);
  EXPECT_EQ(check_region(memory.get(), memory.bytes() - 1, view), region_status::wrong_size);
  EXPECT_EQ(check_region(static_cast<uint8_t*>(memory.get()) + 8, memory.bytes() - 8, view), region_status::misaligned);
}

TEST_F(region_case, each_wrong_field_is_refused_by_name) {
  const auto with = [&](auto change) {
    const region_header whole = header;
    change();
    const region_status status = check();
    header = whole;
    return status;
  };
  EXPECT_EQ(with([&] { header.magic = 0; }), region_status::wrong_magic);
  EXPECT_EQ(with([&] { ++header.version; }), region_status::wrong_version);
  EXPECT_EQ(with([&] { header.header_bytes += 8; }), region_status::wrong_version);
  EXPECT_EQ(with([&] { header.capacity = 0; }), region_status::wrong_capacity);
  EXPECT_EQ(with([&] { header.capacity += 8; }), region_status::wrong_capacity);
  EXPECT_EQ(with([&] { header.capacity = 0x80000000; }), region_status::wrong_capacity);
  EXPECT_EQ(with([&] { header.capacity *= 2; }), region_status::wrong_offset);
  EXPECT_EQ(with([&] { header.max_record = header.capacity; }), region_status::wrong_max_record);
  EXPECT_EQ(with([&] { header.max_record += 4; }), region_status::wrong_max_record);
  EXPECT_EQ(with([&] { header.max_record = 16; }), region_status::wrong_max_record);
  EXPECT_EQ(with([&] { header.critical_bytes = header.capacity; }), region_status::wrong_critical_bytes);
  EXPECT_EQ(with([&] { header.data_offset += region_page; }), region_status::wrong_offset);
  EXPECT_EQ(with([&] { header.consumer_offset += region_page; }), region_status::wrong_offset);
  EXPECT_EQ(with([&] { header.consumer_offset = 0; }), region_status::wrong_offset);
  EXPECT_EQ(with([&] { header.region_bytes += region_page; }), region_status::wrong_size);
  EXPECT_EQ(with([&] { header.lane = lanes_per_cpu; }), region_status::wrong_lane);
  EXPECT_EQ(with([&] { header.mode = 2; }), region_status::wrong_mode);
  EXPECT_EQ(with([&] { header.clock_frequency = 0; }), region_status::wrong_frequency);
  EXPECT_EQ(with([&] { header.start_position = 4; }), region_status::wrong_offset);
  EXPECT_EQ(with([&] { header.cpu_count = 3; }), region_status::wrong_cpu);
  EXPECT_EQ(with([&] { header.boot ^= 1; }), region_status::wrong_checksum);
  EXPECT_EQ(with([&] { header.anchor_utc ^= 1; }), region_status::wrong_checksum);
  EXPECT_EQ(with([&] { header.checksum ^= 1; }), region_status::wrong_checksum);
  EXPECT_EQ(check(), region_status::ok);
}

TEST(region, every_status_has_a_text_of_its_own) {
  std::vector<std::string> texts;
  for (uint32_t i = 0; i <= static_cast<uint32_t>(region_status::wrong_checksum); ++i) {
    texts.push_back(name_of(static_cast<region_status>(i)));
    EXPECT_NE(texts.back(), "unknown") << i;
  }
  std::sort(texts.begin(), texts.end());
  EXPECT_EQ(std::unique(texts.begin(), texts.end()), texts.end());
}

TEST(region, a_geometry_holds_only_if_the_longest_event_fits_beside_a_loss_record) {
  EXPECT_EQ(check_geometry({4096, 1080, 1024}), region_status::ok);
  EXPECT_EQ(check_geometry({4096, 1080, 4096 - 1080 - max_loss_record}), region_status::ok);
  EXPECT_EQ(check_geometry({4096, 1080, 4096 - 1080 - max_loss_record + 8}), region_status::wrong_critical_bytes);
  EXPECT_EQ(check_geometry({4096, 1080, 1020}), region_status::wrong_critical_bytes);
  EXPECT_EQ(check_geometry({4096, 2048, 0}), region_status::ok);
  EXPECT_EQ(check_geometry({4096, 2056, 0}), region_status::wrong_max_record);
  EXPECT_EQ(check_geometry({4096, max_loss_record - 8, 0}), region_status::wrong_max_record);
  EXPECT_EQ(check_geometry({2048, 1080, 0}), region_status::wrong_capacity);
  EXPECT_EQ(check_geometry({max_capacity, 65536, max_capacity / 2}), region_status::ok);
  EXPECT_EQ(check_geometry({max_capacity * 2, 65536, 0}), region_status::wrong_capacity);
}

// A length has 28 bits; a longer record would run into its own state. The limit is what cpu_rings can write.
TEST(region, the_longest_record_fits_its_length_field) {
  EXPECT_EQ(check_geometry({max_capacity, max_record_limit, 0}), region_status::ok);
  EXPECT_LE(max_record_limit + max_loss_record, record_length_mask);
  EXPECT_EQ(check_geometry({max_capacity, max_record_limit + record_alignment, 0}), region_status::wrong_max_record);
  EXPECT_EQ(check_geometry({max_capacity, max_capacity / 2, 0}), region_status::wrong_max_record);
}

TEST(region, the_parts_lie_on_pages_of_their_own_and_do_not_overlap) {
  for (const ring_geometry geometry : {small_main, ring_geometry{4096, 2048, 0}, ring_geometry{1 << 20, 65536, 1 << 18},
                                       ring_geometry{max_capacity, 1 << 20, 0}}) {
    EXPECT_EQ(region_data_offset() % region_page, 0u);
    EXPECT_GE(region_data_offset(), sizeof(producer_page<native_seam>));
    EXPECT_EQ(region_consumer_offset(geometry) % region_page, 0u);
    EXPECT_GE(region_consumer_offset(geometry), region_data_offset() + geometry.capacity + geometry.max_record);
    EXPECT_EQ(region_bytes(geometry), region_consumer_offset(geometry) + region_page);
  }
}

// The client's only writable page must not hold a byte of any record, also where capacity and apron end on a page.
TEST(region, a_record_in_the_apron_does_not_touch_the_consumer_page) {
  const ring_geometry geometry{8192, 4096, 0};
  const lane made(geometry, 0, lane_main, 8192 - 8);
  ring<native_seam> ring;
  ring.attach(made.view);
  ledger<native_seam> account;
  account.attach(&made.view.producer->loss);
  open_record<native_seam> open;
  open_record<native_seam> loss;
  ASSERT_TRUE(ring.place({4096, ordinary_type, 1, false}, account, open, loss));
  std::memset(open.payload(), 0xff, open.payload_length());
  EXPECT_EQ(made.consumed(), 8192u - 8);
}
