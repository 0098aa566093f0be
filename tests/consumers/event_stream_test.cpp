#include "consumers/event_stream.h"

#include <gtest/gtest.h>

#include "tests/consumers/scripted_source.h"

namespace sluice {
namespace {

using namespace test;
using std::chrono::milliseconds;

TEST(event_stream, gives_the_events_of_all_batches_in_order) {
  scripted_source source;
  batch_builder builder;
  source.batches.push_back(builder.add({event_type_thread_create, thread_create(1, 2), 10})
                               .add({event_type_thread_create, thread_create(1, 3), 11})
                               .finish());
  source.batches.push_back(builder.add({event_type_thread_create, thread_create(1, 4), 12}).finish());
  event_stream stream(source);
  std::vector<uint32_t> tids;
  while (const decoded_event* event = stream.next(milliseconds(1))) {
    tids.push_back(*std::get<thread_create_event>(event->body).tid);
  }
  EXPECT_EQ(tids, (std::vector<uint32_t>{2, 3, 4}));
  EXPECT_EQ(stream.batches(), 2u);
  EXPECT_EQ(stream.account().received_of(event_type_thread_create), 3u);
}

TEST(event_stream, a_timeout_of_0_never_reads) {
  scripted_source source;
  source.batches.push_back(batch_builder().add({event_type_thread_create, thread_create(1, 2)}).finish());
  event_stream stream(source);
  EXPECT_EQ(stream.next(milliseconds(0)), nullptr);
  EXPECT_EQ(source.batches.size(), 1u);
  EXPECT_NE(stream.next(milliseconds(1)), nullptr);
}

TEST(event_stream, the_records_before_a_fault_are_given_and_the_next_batch_is_read) {
  scripted_source source;
  batch_builder builder;
  bytes broken = builder.add({event_type_thread_create, thread_create(1, 2), 10})
                     .add({event_type_thread_create, thread_create(1, 3), 11})
                     .finish();
  put<uint32_t>(broken, sizeof(batch_header) + 72, 7);  // the second entry's size
  source.batches.push_back(broken);
  source.batches.push_back(builder.add({event_type_thread_create, thread_create(1, 4), 12}).finish());
  event_stream stream(source);
  EXPECT_NE(stream.next(milliseconds(1)), nullptr);
  EXPECT_EQ(stream.next(milliseconds(0)), nullptr);
  const std::vector<std::string> faults = stream.take_faults();
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0], "batch 1: entry size contradicts the batch at offset 104; the rest of the batch is given up");
  EXPECT_TRUE(stream.take_faults().empty());
  EXPECT_NE(stream.next(milliseconds(1)), nullptr);
  EXPECT_EQ(stream.faulty_batches(), 1u);
}

TEST(event_stream, bytes_behind_a_batch_are_a_fault) {
  scripted_source source;
  source.extra_bytes = 8;
  source.batches.push_back(batch_builder().add({event_type_thread_create, thread_create(1, 2)}).finish());
  event_stream stream(source);
  EXPECT_NE(stream.next(milliseconds(1)), nullptr);
  EXPECT_EQ(stream.faulty_batches(), 1u);
}

TEST(event_stream, a_damaged_record_is_an_event_a_fault_and_a_count) {
  scripted_source source;
  source.batches.push_back(batch_builder()
                               .add({event_type_thread_create, bytes(4), 10})
                               .add({event_type_thread_create, thread_create(1, 3), 11})
                               .finish());
  event_stream stream(source);
  const decoded_event* event = stream.next(milliseconds(1));
  ASSERT_NE(event, nullptr);
  EXPECT_TRUE(std::holds_alternative<damaged_event>(event->body));
  event = stream.next(milliseconds(0));
  ASSERT_NE(event, nullptr);
  EXPECT_TRUE(std::holds_alternative<thread_create_event>(event->body));
  EXPECT_EQ(stream.account().damaged_records(), 1u);
  EXPECT_EQ(stream.take_faults().size(), 1u);
}

TEST(event_stream, a_record_that_comes_twice_is_given_once) {
  scripted_source source;
  const bytes batch = batch_builder().add({event_type_thread_create, thread_create(1, 2)}).finish();
  source.batches = {batch, batch};
  event_stream stream(source);
  EXPECT_NE(stream.next(milliseconds(1)), nullptr);
  EXPECT_EQ(stream.next(milliseconds(1)), nullptr);
  EXPECT_EQ(stream.account().duplicates(), 1u);
  EXPECT_EQ(stream.account().received_records(), 1u);
}

TEST(event_stream, figures_of_an_unannounced_gap_are_no_record) {
  scripted_source source;
  const record figures{record_type_loss, loss({{event_type_image_load, 5}}), 10, 0, 0, 1, batch_flag_figures, 0};
  source.batches.push_back(batch_builder().add(figures).finish());
  source.batches.push_back(batch_builder().add(figures).finish());
  event_stream stream(source);
  const decoded_event* event = stream.next(milliseconds(1));
  ASSERT_NE(event, nullptr);
  EXPECT_TRUE(std::get<loss_event>(event->body).since_load);
  EXPECT_NE(stream.next(milliseconds(1)), nullptr) << "the figures may come again";
  EXPECT_EQ(stream.account().received_records(), 0u);
  EXPECT_EQ(stream.account().announced_of(0, event_type_image_load), 5u);
}

// The clock stepped back by 4000 ticks: times of the stream go on, the moment of reception is a counter's.
TEST(event_stream, an_epoch_is_no_record_of_a_ring_and_ages_are_told_across_it) {
  scripted_source source;
  bytes epoch, anchor;
  append(epoch, epoch_payload{1, 0, 4000, 1001});
  append(anchor, anchor_payload{5001, batch_builder::frequency, 7'000'000'000});
  source.clock = 1000 + 20;  // 2 us after the event, by the counter
  batch_builder builder;
  builder.add({event_type_thread_create, thread_create(1, 2), 4990});
  builder.add({record_type_epoch, epoch, 5001, 0, 0, 1, batch_flag_stream, 0});
  builder.add({record_type_anchor, anchor, 5001, 0, 0, 1, batch_flag_stream, 0});
  builder.add({event_type_thread_create, thread_create(1, 3), 5010});
  source.batches.push_back(builder.finish());
  source.committed(0, event_type_thread_create, 2);
  event_stream stream(source);
  const decoded_event* last = nullptr;
  for (int i = 0; i < 4; ++i) ASSERT_NE(last = stream.next(milliseconds(1)), nullptr);
  EXPECT_EQ(stream.clock().utc(last->time), 7'000'000'009u);
  EXPECT_EQ(stream.account().received_records(), 2u);
  EXPECT_EQ(stream.account().check(source.statistics(), nullptr), std::vector<std::string>());
  EXPECT_EQ(stream.account().latency().max(), 1000u) << "10 ticks";
}

TEST(event_stream, takes_its_clock_from_the_driver_and_then_from_the_anchors) {
  scripted_source source;
  source.anchor_utc = 1'000'000'000;
  bytes anchor;
  append(anchor, anchor_payload{0, batch_builder::frequency, 5'000'000'000});
  source.batches.push_back(batch_builder().add({record_type_anchor, anchor}).finish());
  event_stream stream(source);
  EXPECT_EQ(stream.clock().utc(10), 1'000'000'010u);
  (void)stream.next(milliseconds(1));
  EXPECT_EQ(stream.clock().utc(10), 5'000'000'010u);
}

TEST(event_stream, knows_the_own_types_that_were_declared_before_it_came) {
  scripted_source source;
  source.declarations = declaration(40, "early", {field("id", 0, 4, field_kind::unsigned_integer)});
  source.batches.push_back(batch_builder().add({40, bytes(4)}).finish());
  event_stream stream(source);
  const decoded_event* event = stream.next(milliseconds(1));
  ASSERT_NE(event, nullptr);
  EXPECT_EQ(std::get<own_event>(event->body).layout->name, "early");
}

}  // namespace
}  // namespace sluice
