// Buckets, repeats and their bounds, on a clock of the test's own.
#include <map>
#include <random>
#include <set>

#include "producers/filter_state.h"
#include "producers/key_hash.h"
#include "tests/kernel_port/filter_test_support.h"

namespace sluice::test {
namespace {

constexpr uint64_t frequency = 10'000'000;

TEST(token_bucket, gives_a_burst_and_then_its_rate_exactly) {
  for (const filter_rate rate : {filter_rate{1, 1}, filter_rate{3, 7}, filter_rate{100'000, 5}, filter_rate{9'999'999, 5}, filter_rate{1000, 1'000'000}}) {
    bucket_limits limits;
    limits.set(rate, frequency);
    token_bucket bucket;
    bucket.begin(limits, 1000);
    std::mt19937 random(1);
    uint64_t now = 1000, taken = 0;
    for (int i = 0; i < 60000; ++i) {
      now += random() % 50;
      if (!bucket.look(limits, now)) continue;
      bucket.take(limits);
      ++taken;
      // Never more than the burst and what has come in since.
      if (taken <= rate.burst) continue;
      ASSERT_LE((taken - rate.burst) * frequency, (now - 1000) * rate.events_per_second);
    }
    if (taken >= rate.burst && taken < 60000) {
      // And no less: it was asked more often than tokens came.
      EXPECT_GE((taken - rate.burst + 2) * frequency, (now - 1000) * rate.events_per_second);
    } else {
      EXPECT_EQ(taken, 60000u);
    }
  }
}

TEST(token_bucket, is_full_again_after_a_long_time_or_a_step_back_of_the_clock) {
  bucket_limits limits;
  limits.set({1, 3}, frequency);
  for (const uint64_t later : {uint64_t{1} << 62, uint64_t{0}}) {
    token_bucket bucket;
    bucket.begin(limits, 1000);
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(bucket.look(limits, 1000));
      bucket.take(limits);
    }
    EXPECT_FALSE(bucket.look(limits, 1000));
    EXPECT_TRUE(bucket.look(limits, later));
  }
}

TEST(repeat_memory, knows_what_was_kept_within_the_window) {
  repeat_memory memory{};
  repeat_memory::entry* place = nullptr;
  EXPECT_FALSE(memory.is_repeat(7, 100, 10, place));
  *place = {7, 100};
  EXPECT_TRUE(memory.is_repeat(7, 109, 10, place));
  EXPECT_FALSE(memory.is_repeat(7, 110, 10, place));
  *place = {7, 110};
  EXPECT_TRUE(memory.is_repeat(7, 119, 10, place)) << "from the one that was kept, not from the one that was not";
  EXPECT_FALSE(memory.is_repeat(8, 119, 10, place));
}

TEST(repeat_memory, forgets_the_oldest_of_a_set_when_it_is_full) {
  repeat_memory memory{};
  repeat_memory::entry* place = nullptr;
  for (uint64_t i = 1; i <= 4; ++i) {
    EXPECT_FALSE(memory.is_repeat(i, i, 1000, place));
    *place = {i, i};
  }
  EXPECT_FALSE(memory.is_repeat(5, 5, 1000, place));
  *place = {5, 5};
  EXPECT_FALSE(memory.is_repeat(1, 6, 1000, place));
  for (uint64_t i = 2; i <= 5; ++i) EXPECT_TRUE(memory.is_repeat(i, 6, 1000, place)) << i;
}

TEST(process_buckets, a_process_keeps_its_bucket_while_it_is_among_the_last_of_its_set) {
  process_buckets buckets{};
  bucket_limits limits;
  limits.set({1, 1}, frequency);
  token_bucket& first = buckets.of(400, limits, 10);
  first.take(limits);
  EXPECT_EQ(&buckets.of(400, limits, 11), &first);
  EXPECT_FALSE(buckets.of(400, limits, 11).look(limits, 11));
  std::set<token_bucket*> seen;
  for (uint32_t pid = 1000; pid < 1000 + 4 * 2000; pid += 4) seen.insert(&buckets.of(pid, limits, pid));
  EXPECT_EQ(seen.size(), size_t{process_buckets::sets * process_buckets::ways}) << "all of it is used, and no more";
  EXPECT_TRUE(buckets.of(400, limits, 20000).look(limits, 20000)) << "forgotten: it begins full";
}

TEST(key_hash, differs_with_every_bit_and_with_where_fields_end) {
  std::map<uint64_t, int> seen;
  const auto note = [&](auto&& add) {
    key_hash hash(1, 2);
    add(hash);
    ++seen[hash.finish()];
  };
  uint8_t bytes[20] = {};
  int cases = 0;
  for (int i = 0; i < 160; ++i, ++cases) {
    bytes[i / 8] = static_cast<uint8_t>(1u << i % 8);
    note([&](key_hash& hash) { hash.add(bytes, 20); });
    bytes[i / 8] = 0;
  }
  for (uint32_t length = 0; length <= 20; ++length, ++cases) note([&](key_hash& hash) { hash.add(bytes, length); });
  for (uint32_t left = 0; left <= 20; ++left, ++cases) {
    note([&](key_hash& hash) {
      hash.add(bytes, left);
      hash.add(bytes, 20 - left);
    });
  }
  EXPECT_EQ(seen.size(), static_cast<size_t>(cases));
  key_hash other(1, 3);
  other.add(bytes, 0);
  key_hash same(1, 2);
  same.add(bytes, 0);
  EXPECT_NE(other.finish(), same.finish()) << "the key matters";
}

}  // namespace
}  // namespace sluice::test
