// A connection that is refused, lost, and made again.
#include "tests/conformance/conformance_support.h"

namespace sluice::test {
namespace {

struct connections : conformance {
  // Until it is restored. What comes before is added.
  static void read_until_restored(client& reader, seen& got) {
    while (got.outcomes.count(client_outcome::restored) == 0) take(reader, got);
  }
};

TEST_P(connections, that_are_lost_are_an_error_where_nothing_else_is_asked_for) {
  client reader(options());
  (void)drain(reader);
  breakable->lose_next_batch();
  load_images(1);
  seen got;
  EXPECT_THROW(for (;;) take(reader, got), nt_error);
}

TEST_P(connections, that_are_lost_are_made_again_and_go_on_with_the_same_stream_without_duplicates) {
  client_options what = options();
  what.reconnects = true;
  client reader(what);
  const std::multiset<uint64_t> before = load_images(10);
  EXPECT_EQ(drain(reader).bases, before);
  breakable->lose_next_batch();
  const std::multiset<uint64_t> lost = load_images(3);
  seen got;
  read_until_restored(reader, got);
  const std::vector<interruption> interruptions = reader.take_interruptions();
  ASSERT_EQ(interruptions.size(), 1u);
  EXPECT_TRUE(interruptions[0].same_stream);
  EXPECT_EQ(interruptions[0].by, GetParam().by);
  EXPECT_NE(interruptions[0].why, "");
  EXPECT_GE(interruptions[0].received, before.size());
  const std::multiset<uint64_t> after = load_images(5);
  read_to_flush(reader, got);
  // What was in the batch that never came is missing, and so much can be seen.
  std::multiset<uint64_t> all = lost;
  all.insert(after.begin(), after.end());
  EXPECT_TRUE(std::includes(all.begin(), all.end(), got.bases.begin(), got.bases.end()));
  EXPECT_TRUE(std::includes(got.bases.begin(), got.bases.end(), after.begin(), after.end()));
  EXPECT_EQ(got.bases.size() < all.size(), reader.missed_bytes() > 0);
  if (GetParam().by == transport::mapping) {
    EXPECT_EQ(got.bases, all) << "what was not given back is there";
  } else {
    EXPECT_EQ(reader.account().duplicates(), 0u);
  }
  EXPECT_EQ(reader.check(false), std::vector<std::string>());
}

TEST_P(connections, that_were_away_say_so_and_what_was_raised_meanwhile_has_waited) {
  client_options what = options();
  what.reconnects = true;
  client reader(what);
  (void)drain(reader);
  breakable->refuse(nt::object_name_not_found);
  breakable->lose_next_batch();
  load_images(1);
  seen got;
  eventually([&] {
    take(reader, got, std::chrono::milliseconds(5));
    return reader.last() == client_outcome::away;
  });
  EXPECT_THROW((void)reader.statistics(), source_error);
  wait_for_clients(0);
  const std::multiset<uint64_t> meanwhile = load_images(20);
  breakable->accept();
  read_until_restored(reader, got);
  read_to_flush(reader, got);
  EXPECT_TRUE(std::includes(got.bases.begin(), got.bases.end(), meanwhile.begin(), meanwhile.end()));
}

TEST_P(connections, that_are_away_can_be_cancelled) {
  client_options what = options();
  what.reconnects = true;
  client reader(what);
  (void)drain(reader);
  breakable->refuse(nt::object_name_not_found);
  breakable->lose_next_batch();
  load_images(1);
  std::thread cancelling([&] {
    eventually([&] { return breakable->refused() > 1; });
    reader.cancel();
  });
  while (reader.next({}) != nullptr) {
  }
  EXPECT_EQ(reader.last(), client_outcome::cancelled);
  cancelling.join();
}

TEST_P(connections, by_a_descriptor_are_restored_too) {
  client_options what = options();
  what.reconnects = true;
  client reader(what);
  (void)drain(reader);
  (void)reader.descriptor();
  breakable->lose_next_batch();
  load_images(1);
  seen got;
  read_until_restored(reader, got);
  const std::multiset<uint64_t> after = load_images(5);
  read_to_flush(reader, got);
  EXPECT_TRUE(std::includes(got.bases.begin(), got.bases.end(), after.begin(), after.end()));
}

// Another load of the driver is another stream: nothing of it is a duplicate of the one before.
TEST_P(connections, to_a_driver_that_was_loaded_anew_begin_a_new_account) {
  client_options what = options();
  what.reconnects = true;
  client reader(what);
  load_images(10);
  (void)drain(reader);
  breakable->refuse(nt::object_name_not_found);
  if (by_port()) {
    unload();
  } else {
    breakable->lose_next_batch();  // an open handle would keep the driver
    load_images(1);
  }
  seen got;
  eventually([&] {
    take(reader, got, std::chrono::milliseconds(5));
    return reader.last() == client_outcome::away;
  });
  wait_for_clients(0);
  if (loaded) unload();
  load();
  ASSERT_TRUE(loaded);
  breakable->accept();
  const std::multiset<uint64_t> raised = load_images(10);
  read_until_restored(reader, got);
  const std::vector<interruption> interruptions = reader.take_interruptions();
  ASSERT_EQ(interruptions.size(), 1u);
  EXPECT_FALSE(interruptions[0].same_stream);
  got.bases.clear();
  got.bases = drain(reader).bases;
  EXPECT_EQ(got.bases, raised);
  EXPECT_EQ(reader.check(true), std::vector<std::string>());
}

TEST_P(connections, are_closed_by_an_unload_or_hold_it_up) {
  client reader(options());
  (void)drain(reader);
  if (!by_port()) {
    if (!below->open_handles_keep_the_driver()) GTEST_SKIP() << "this kernel unloads a driver whose device is open";
    constexpr nt_status device_busy = static_cast<nt_status>(0x80000011);
    EXPECT_EQ(below->unload(), device_busy) << "a handle is open";
    const std::multiset<uint64_t> raised = load_images(3);
    EXPECT_EQ(drain(reader).bases, raised) << "and the stream goes on";
    return;
  }
  std::atomic<bool> ended{false};
  std::string why;
  std::thread reading([&] {
    try {
      while (reader.next({}) != nullptr) {
      }
    } catch (const nt_error& error) {
      why = error.what();
    }
    ended = true;
  });
  unload();
  reading.join();
  EXPECT_NE(why, "");
}

TEST_P(connections, to_nothing_are_an_error_that_says_so) {
  breakable->refuse(nt::object_name_not_found);
  try {
    client none(options());
    FAIL();
  } catch (const nt_error& error) {
    EXPECT_EQ(error.status(), nt::object_name_not_found);
  }
}

TEST_P(connections, of_more_readers_than_the_transport_has_are_refused) {
  client first(options());
  (void)drain(first);
  const auto one_more = [&] {
    client reader(options());
    (void)drain(reader);
  };
  if (!by_port()) {
    EXPECT_THROW(one_more(), nt_error);
  } else {
    std::vector<std::unique_ptr<client>> others;
    while (others.size() < protocol::max_port_clients - 1) others.push_back(std::make_unique<client>(options()));
    EXPECT_THROW(one_more(), nt_error);
    others.pop_back();
    wait_for_clients(protocol::max_port_clients - 1);
    client again(options());
  }
  const std::multiset<uint64_t> raised = load_images(3);
  EXPECT_EQ(drain(first).bases, raised) << "whoever was there is not disturbed";
}

INSTANTIATE_TEST_SUITE_P(over, connections, testing::ValuesIn(all_pairings()), name_of_pairing);

}  // namespace
}  // namespace sluice::test
