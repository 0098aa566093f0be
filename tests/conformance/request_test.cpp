// What a client asks for besides the stream: types, filters, statistics.
#include "tests/conformance/conformance_support.h"

namespace sluice::test {
namespace {

struct requests : conformance {
  // Everything but these types is wanted.
  static std::vector<uint8_t> filter_without(uint64_t types) {
    filter_header header{};
    header.magic = filter_magic;
    header.version = filter_version;
    header.header_bytes = sizeof header;
    header.total_bytes = sizeof header;
    header.types = ~types;
    std::vector<uint8_t> message(sizeof header);
    std::memcpy(message.data(), &header, sizeof header);
    return message;
  }
  uint64_t filtered(client& asks) {
    uint64_t count = 0;
    for (const protocol::statistics_row& row : asks.statistics().rows) count += row.filtered_total();
    return count;
  }
};

TEST_P(requests, the_client_chooses_types_at_first_and_while_it_is_connected) {
  client_options what = options();
  what.types = uint64_t{1} << event_type_thread_create;
  client reader(what);
  load_images(5);
  seen got;
  read_to_flush(reader, got);
  EXPECT_TRUE(got.bases.empty());
  reader.set_types(images_only);
  const std::multiset<uint64_t> wanted = load_images(7);
  read_to_flush(reader, got);
  EXPECT_EQ(got.bases, wanted);
  reader.set_types(0);
  load_images(3);
  read_to_flush(reader, got);
  EXPECT_EQ(got.bases, wanted);
  EXPECT_EQ(reader.statistics().header.switched_off, 0u) << "the driver's own choice has not changed";
  EXPECT_EQ(reader.check(true), std::vector<std::string>());
}

TEST_P(requests, a_filter_is_set_read_back_and_cleared) {
  client reader(options());
  const std::vector<uint8_t> message = filter_without(images_only);
  const filter_answer answer = reader.set_filter(message);
  EXPECT_EQ(answer.error, 0u);
  EXPECT_EQ(reader.filter().message, message);
  EXPECT_EQ(reader.filter().state.generation, answer.generation);
  load_images(11);
  EXPECT_TRUE(drain(reader).bases.empty());
  EXPECT_EQ(filtered(reader), 11u);
  EXPECT_GT(reader.clear_filter().generation, answer.generation);
  EXPECT_TRUE(reader.filter().message.empty());
  const std::multiset<uint64_t> kept = load_images(2);
  EXPECT_EQ(drain(reader).bases, kept);
  EXPECT_EQ(reader.check(true), std::vector<std::string>());
}

TEST_P(requests, a_filter_that_is_none_is_refused_with_its_place_and_the_former_stays) {
  client reader(options());
  const std::vector<uint8_t> message = filter_without(images_only);
  ASSERT_EQ(reader.set_filter(message).error, 0u);
  std::vector<uint8_t> wrong = message;
  wrong[offsetof(filter_header, reserved0)] = 1;
  const filter_answer answer = reader.set_filter(wrong);
  EXPECT_EQ(answer.error, static_cast<uint32_t>(filter_error::reserved));
  EXPECT_EQ(answer.offset, offsetof(filter_header, reserved0));
  EXPECT_EQ(reader.filter().message, message);
}

TEST_P(requests, a_filter_of_the_clients_own_is_its_own_where_the_transport_has_several) {
  client reader(options());
  const std::vector<uint8_t> message = filter_without(images_only);
  if (!by_port()) {
    EXPECT_THROW((void)reader.set_own_filter(message), source_error);
    return;
  }
  client other(options());
  ASSERT_EQ(reader.set_own_filter(message).error, 0u);
  const std::multiset<uint64_t> raised = load_images(5);
  seen got_by_other, got;
  read_to_flush(other, got_by_other);
  EXPECT_EQ(got_by_other.bases, raised);
  read_to_flush(reader, got);
  EXPECT_TRUE(got.bases.empty());
  // It lasts when the connection does not.
  client_options lasting = options();
  lasting.reconnects = true;
  client again(lasting);
  ASSERT_EQ(again.set_own_filter(message).error, 0u);
  read_to_flush(again, got);
  breakable->lose_next_batch();
  again.flush();
  while (got.outcomes.count(client_outcome::restored) == 0) take(again, got);
  do {
    take(again, got);  // the answer to what was asked of the connection before
  } while (again.last() != client_outcome::flushed);
  load_images(5);
  read_to_flush(again, got);
  EXPECT_TRUE(got.bases.empty());
  again.clear_own_filter();
  const std::multiset<uint64_t> kept = load_images(5);
  read_to_flush(again, got);
  EXPECT_EQ(got.bases, kept);
  EXPECT_EQ(again.check(false), std::vector<std::string>());
}

TEST_P(requests, statistics_count_every_callback_also_under_load) {
  client reader(options());
  const uint64_t raised_before = below->raised_images();
  std::atomic<bool> done{false};
  std::thread load([&] {
    while (!done) load_images(20, 1);
  });
  for (uint32_t i = 0; i < 50; ++i) {
    for (const protocol::statistics_row& row : reader.statistics().rows) EXPECT_TRUE(row.balances()) << row.type;
    std::this_thread::yield();
  }
  done = true;
  load.join();
  uint64_t attempted = 0;
  for (const protocol::statistics_row& row : reader.statistics().rows) {
    if (row.type == event_type_image_load) attempted += row.account.attempted;
  }
  EXPECT_EQ(attempted, below->raised_images() - raised_before);
  (void)drain(reader);
  EXPECT_EQ(reader.check(true), std::vector<std::string>());
}

TEST_P(requests, capabilities_are_those_of_the_driver) {
  client reader(options());
  const protocol::capabilities about = reader.capabilities();
  EXPECT_EQ(about.version, protocol::version);
  EXPECT_EQ(about.cpu_count, below->cpus());
  EXPECT_NE(about.types & images_only, 0u);
  EXPECT_EQ(reader.by(), GetParam().by);
}

TEST_P(requests, its_own_process_is_left_out_where_the_transport_can) {
  client_options what = options();
  what.without_own_process = true;
  if (!by_port()) {
    EXPECT_THROW(client refused(what), source_error);
    return;
  }
  client reader(what);
  load_images(5, 0, below->pid());
  const std::multiset<uint64_t> others = load_images(5);
  seen got;
  read_to_flush(reader, got);
  EXPECT_EQ(got.bases, others);
  EXPECT_EQ(reader.check(true), std::vector<std::string>());
}

INSTANTIATE_TEST_SUITE_P(over, requests, testing::ValuesIn(all_pairings()), name_of_pairing);

}  // namespace
}  // namespace sluice::test
