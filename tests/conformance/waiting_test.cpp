// How a client waits: for events, for a time, for an answer, until it is called back; and by a descriptor.
#include "tests/conformance/conformance_support.h"
#include "tests/conformance/ready.h"

namespace sluice::test {
namespace {

using std::chrono::milliseconds;

struct waiting : conformance {};

TEST_P(waiting, ends_at_its_time_and_nothing_is_lost) {
  client reader(options());
  (void)drain(reader);
  while (reader.next(milliseconds(3)) != nullptr) {  // an anchor may come at any time
  }
  EXPECT_EQ(reader.last(), client_outcome::timeout);
  EXPECT_EQ(reader.next(milliseconds(0)), nullptr);
  EXPECT_EQ(reader.last(), client_outcome::timeout);
  const std::multiset<uint64_t> raised = load_images(3);
  EXPECT_EQ(drain(reader).bases, raised);
}

TEST_P(waiting, for_ever_ends_with_an_event) {
  client reader(options());
  (void)drain(reader);
  std::thread later([&] { load_images(1, 1); });
  const decoded_event* event = nullptr;
  do {
    event = reader.next({});
  } while (event != nullptr && event->type != event_type_image_load);
  EXPECT_NE(event, nullptr);
  later.join();
}

TEST_P(waiting, for_ever_ends_when_it_is_cancelled_and_the_stream_goes_on) {
  client reader(options());
  (void)drain(reader);
  for (uint32_t i = 0; i < 20; ++i) {
    std::thread cancelling([&] { reader.cancel(); });  // before the read, or while it waits
    while (reader.next({}) != nullptr) {
    }
    EXPECT_EQ(reader.last(), client_outcome::cancelled);
    cancelling.join();
  }
  const std::multiset<uint64_t> raised = load_images(3);
  EXPECT_EQ(drain(reader).bases, raised);
}

TEST_P(waiting, ends_with_a_flush_that_is_asked_for_meanwhile) {
  client reader(options());
  (void)drain(reader);
  const std::multiset<uint64_t> raised = load_images(3);
  std::thread flushing([&] { reader.flush(); });
  seen got;
  while (got.outcomes.count(client_outcome::flushed) == 0) {
    take(reader, got);
    ASSERT_EQ(got.outcomes.count(client_outcome::timeout), 0u);
  }
  flushing.join();
  EXPECT_EQ(got.bases, raised);
}

TEST_P(waiting, by_a_descriptor_sees_every_event_and_nothing_else) {
  client reader(options());
  (void)drain(reader);
  const wait_handle descriptor = reader.descriptor();
  EXPECT_EQ(reader.descriptor(), descriptor);
  std::multiset<uint64_t> raised;
  seen got;
  const auto rests = [&] {
    take(reader, got, milliseconds(0));
    return reader.last() == client_outcome::timeout && !is_ready(descriptor, milliseconds(0));
  };
  eventually(rests);
  for (uint32_t round = 0; round < 20; ++round) {
    raised.merge(load_images(1 + round * 20, round % 2));
    while (got.bases.size() < raised.size()) {
      ASSERT_TRUE(is_ready(descriptor, patience)) << got.bases.size() << " of " << raised.size();
      do {
        take(reader, got, milliseconds(0));
      } while (reader.last() == client_outcome::events);
      ASSERT_EQ(reader.last(), client_outcome::timeout);
    }
  }
  EXPECT_EQ(got.bases, raised);
  eventually(rests);
  // Waiting without it goes on as before.
  reader.cancel();
  while (reader.next({}) != nullptr) {
  }
  EXPECT_EQ(reader.last(), client_outcome::cancelled);
  EXPECT_TRUE(drain(reader).bases.empty());
  EXPECT_EQ(reader.check(true), std::vector<std::string>());
}

INSTANTIATE_TEST_SUITE_P(over, waiting, testing::ValuesIn(all_pairings()), name_of_pairing);

}  // namespace
}  // namespace sluice::test
