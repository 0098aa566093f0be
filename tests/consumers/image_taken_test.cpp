// consumers/image: what a reader of the dead machine had taken already.
#include "tests/consumers/image_support.h"

using namespace sluice;
using namespace sluice::test;
using namespace sluice::image;

namespace {

void take_all(reader& consumer) {
  for (ring_head head = consumer.look(); head.state == head_state::committed; head = consumer.look()) consumer.take(head);
  consumer.release();
}

// Events 0..count-1 on CPU 0, of `length(i)` bytes each; a reader takes all there is after every 16th.
template <class length_of>
void write_and_take(dead_machine& machine, uint64_t count, const length_of& length) {
  reader consumer;
  consumer.attach(machine.main(0).view);
  for (uint64_t i = 0; i < count; ++i) {
    ASSERT_EQ(machine.write(0, i, length(i)), reserve_status::ok);
    if (i % 16 == 15) take_all(consumer);
  }
}

}  // namespace

TEST(image, a_ring_that_has_wrapped_is_read_across_its_end_and_apron) {
  dead_machine machine(1);
  write_and_take(machine, 1000, [](uint64_t i) { return 8 + i % 90; });
  const file_on_disk file(machine.memory());
  image_source source(file.path(), {{.unread_only = true}, {}, {}});
  EXPECT_EQ(values_of(read_all(source)), (std::vector<uint64_t>{992, 993, 994, 995, 996, 997, 998, 999}));
  EXPECT_TRUE(source.take_faults().empty());
}

// A reader may have died with what it had taken: that is given, too, as far as it is still there.
TEST(image, what_a_reader_had_taken_is_given_as_far_as_it_is_still_there) {
  dead_machine machine(1);
  write_and_take(machine, 1000, [](uint64_t i) { return 8 + i % 90; });
  const file_on_disk file(machine.memory());
  image_source source(file.path());
  const std::vector<uint64_t> values = values_of(read_all(source));
  const ring_report& ring = ring_of(source, 0);
  EXPECT_EQ(ring.complete, values.size());
  EXPECT_EQ(ring.taken + 8, values.size());
  // All but what the next records, not published yet, may have been written over.
  const uint32_t longest = record_header_size + 8 + 89;
  EXPECT_GE(ring.published - ring.begin, small_main.capacity - small_main.max_record - max_loss_record - longest);
  EXPECT_EQ(values.back(), 999u);
  for (size_t i = 1; i < values.size(); ++i) ASSERT_EQ(values[i], values[i - 1] + 1);
  EXPECT_TRUE(source.take_faults().empty());
}

TEST(image, of_a_ring_that_was_never_full_everything_is_still_there) {
  dead_machine machine(1, 0xffffff00);
  reader consumer;
  consumer.attach(machine.main(0).view);
  for (uint64_t i = 0; i < 40; ++i) {
    ASSERT_EQ(machine.write(0, i), reserve_status::ok);
    if (i == 30) take_all(consumer);
  }
  const file_on_disk file(machine.memory());
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), up_to(40));
  EXPECT_EQ(ring_of(source, 0).taken, 31u);
}

// Records of one length: the next one, not published yet, stands exactly where the oldest one stood.
TEST(image, a_record_that_was_not_published_is_not_taken_for_an_old_one) {
  dead_machine machine(1);
  write_and_take(machine, 640, [](uint64_t) { return 48; });  // ten times the capacity
  blob image = machine.memory();
  for (const record_state state : {record_state::reserved, record_state::committed}) {
    const record_header unpublished{make_state_and_length(state, 64), critical_type, 1, 0, 0, 0};
    std::memcpy(&image[4096], &unpublished, sizeof unpublished);
    const file_on_disk file(image);
    image_source source(file.path());
    const std::vector<image_event> events = read_all(source);
    EXPECT_GT(events.size(), 10u);
    EXPECT_EQ(events.back().value, 639u);
    for (const image_event& event : events) EXPECT_EQ(event.type, ordinary_type);
  }
}

// A reader gives nothing back that is open: what its word says then is not followed.
TEST(image, an_open_record_that_claims_to_have_been_taken_ends_what_was) {
  dead_machine machine(1);
  for (uint64_t i = 0; i < 20; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  blob image = machine.memory();
  const uint32_t stamped = make_state_and_length(record_state::stamped, 24), consumed = 15 * 24;
  std::memcpy(&image[4096 + 10 * 24], &stamped, sizeof stamped);
  std::memcpy(&image[region_consumer_offset(small_main)], &consumed, sizeof consumed);
  const file_on_disk file(image);
  image_source source(file.path());
  EXPECT_EQ(values_of(read_all(source)), (std::vector<uint64_t>{11, 12, 13, 14, 15, 16, 17, 18, 19}));
}

TEST(image, what_was_taken_is_damaged_by_nobody_but_its_own_bytes) {
  dead_machine machine(1);
  reader consumer;
  consumer.attach(machine.main(0).view);
  for (uint64_t i = 0; i < 40; ++i) ASSERT_EQ(machine.write(0, i), reserve_status::ok);
  take_all(consumer);
  blob image = machine.memory();
  std::memset(&image[4096 + 10 * 24], 0, 8);
  const file_on_disk file(image);
  image_source source(file.path());
  std::vector<uint64_t> expected = up_to(40);
  expected.erase(expected.begin(), expected.begin() + 11);
  EXPECT_EQ(values_of(read_all(source)), expected) << "what leads to the reader's place without a break";
}
