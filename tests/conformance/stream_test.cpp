// The stream: what comes, in which order, what is said to be missing.
#include <tuple>

#include "tests/conformance/conformance_support.h"

namespace sluice::test {
namespace {

using identity = std::tuple<uint64_t, uint16_t, uint8_t, uint64_t>;

identity identity_of(const record_identity& of) { return {of.boot, of.cpu, of.lane, of.position}; }

struct stream : conformance {
  std::atomic<uint32_t> reader_has_{0};
};
struct stream_in_small_rings : conformance {
  stream_in_small_rings() : conformance(16384) {}
};

TEST_P(stream, has_every_event_once_with_an_identity_of_its_own) {
  client reader(options());
  std::multiset<uint64_t> raised = load_images(300, 0);
  raised.merge(load_images(300, 1));
  const seen got = drain(reader);
  EXPECT_EQ(got.bases, raised);
  std::set<identity> identities;
  for (const decoded_event& each : got.events) {
    if (each.type == event_type_image_load) identities.insert(identity_of(each.identity));
  }
  EXPECT_EQ(identities.size(), raised.size());
  EXPECT_EQ(reader.check(true), std::vector<std::string>());
}

TEST_P(stream, is_in_order_while_all_cpus_write) {
  client reader(options());
  std::atomic<bool> done{false};
  std::vector<std::thread> load;
  std::atomic<uint32_t> raised{0};
  for (uint32_t cpu = 0; cpu < 2; ++cpu) {
    load.emplace_back([&, cpu] {
      for (uint32_t round = 0; round < 40; ++round) {
        load_images(25, cpu);
        raised += 25;
        eventually([&] { return done || reader_has_ + 200 >= raised; });  // nothing is dropped
      }
    });
  }
  seen got;
  while (got.bases.size() < 2000) {
    const size_t before = got.events.size();
    take(reader, got);
    EXPECT_GT(got.events.size(), before) << "nothing comes any more";
    if (got.events.size() == before) break;
    reader_has_ = static_cast<uint32_t>(got.bases.size());
  }
  done = true;
  for (std::thread& each : load) each.join();
  std::tuple<uint64_t, uint16_t, uint8_t, uint64_t> newest{};
  for (const decoded_event& each : got.events) {
    if (each.late || each.identity.cpu == batch_no_cpu) continue;
    const std::tuple key{each.time, each.identity.cpu, each.identity.lane, each.identity.position};
    EXPECT_LE(newest, key);
    newest = key;
  }
  (void)drain(reader);
  EXPECT_EQ(reader.check(true), std::vector<std::string>());
}

TEST_P(stream, can_be_read_in_batches_that_are_not_decoded) {
  client reader(options());
  const std::multiset<uint64_t> raised = load_images(500);
  reader.flush();
  std::multiset<uint64_t> bases;
  for (;;) {
    const std::span<const delivered_record> batch = reader.read(patience);
    if (batch.empty()) {
      ASSERT_EQ(reader.last(), client_outcome::flushed);
      break;
    }
    for (const delivered_record& each : batch) {
      const decoded_event event = reader.names().decode(each);
      if (const auto* image = std::get_if<image_load_event>(&event.body)) bases.insert(image->base.value_or(0));
    }
  }
  EXPECT_EQ(bases, raised);
  EXPECT_EQ(reader.check(true), std::vector<std::string>());
}

TEST_P(stream, tells_its_clock) {
  client reader(options());
  load_images(1);
  const seen got = drain(reader);
  ASSERT_FALSE(got.events.empty());
  EXPECT_TRUE(reader.clock().utc(got.events.back().time).has_value());
}

// What is missing is announced, by type, whoever lost it: the rings, or this client's queue.
TEST_P(stream_in_small_rings, says_what_is_missing_where_nobody_reads_in_time) {
  client reader(options());
  (void)drain(reader);
  constexpr uint32_t count = 12000;  // more than the rings and a queue in the driver hold
  load_images(count);
  const seen got = drain(reader);
  const accounting& account = reader.account();
  EXPECT_LT(got.bases.size(), count);
  EXPECT_EQ(account.received_of(event_type_image_load) + account.announced_events() + account.missed_events(), count);
  EXPECT_EQ(std::count_if(got.events.begin(), got.events.end(),
                          [](const decoded_event& each) { return std::holds_alternative<loss_event>(each.body); }) > 0,
            true);
  EXPECT_EQ(reader.check(true), std::vector<std::string>());
  // And once more behind the gap: the same loss is not counted twice.
  load_images(1);
  (void)drain(reader);
  EXPECT_EQ(reader.check(true), std::vector<std::string>());
}

TEST_P(stream, of_a_client_that_comes_later_begins_there_or_before_and_has_no_gap) {
  std::multiset<uint64_t> raised = load_images(50);
  {
    client first(options());
    EXPECT_EQ(drain(first).bases, raised) << "what came before the first client has waited for it";
  }
  wait_for_clients(0);
  raised = load_images(50);
  client second(options());
  raised.merge(load_images(50));
  seen got;
  read_to_flush(second, got);
  EXPECT_EQ(got.bases, raised) << "what nobody has taken stays";
  EXPECT_EQ(second.check(false), std::vector<std::string>());
}

INSTANTIATE_TEST_SUITE_P(over, stream, testing::ValuesIn(all_pairings()), name_of_pairing);
INSTANTIATE_TEST_SUITE_P(over, stream_in_small_rings, testing::ValuesIn(all_pairings()), name_of_pairing);

}  // namespace
}  // namespace sluice::test
