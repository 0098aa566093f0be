// The client's C functions, used by C, over the driver on a simulated machine.
#include "tests/consumers/c_client_use.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string_view>
#include <thread>

#include "consumers/client/c_client.h"
#include "consumers/nt/simulated_system.h"
#include "consumers/port_source.h"
#include "tests/conformance/breakable_system.h"
#include "tests/consumers/hosted_machine.h"
#include "tests/eventually.h"

extern "C" NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path);

namespace sluice {
namespace {

struct c_client : testing::Test {
  sim::machine machine;
  sluice_client* client = nullptr;
  c_client() {
    EXPECT_EQ(machine.load_driver("sluice", &DriverEntry), STATUS_SUCCESS);
    client_options what;
    what.system = simulated_system(machine, 4242);
    client = as_c_client(std::make_unique<sluice::client>(what));
  }
  ~c_client() override {
    sluice_close(client);
    EXPECT_EQ(machine.unload_driver("sluice"), STATUS_SUCCESS);
  }
  void load_images(uint32_t count) {
    sim::activity here(machine, 0, 4, 8);
    for (uint32_t i = 0; i < count; ++i) sim::load_image({.base = i, .path = u"\\a.dll"});
  }
  int read_until_flushed() {
    const sluice_record* records = nullptr;
    size_t count = 0;
    int outcome = SLUICE_EVENTS;
    while (outcome == SLUICE_EVENTS) outcome = sluice_read(client, int64_t{60} * 1000000000, &records, &count);
    return outcome;
  }
};

TEST_F(c_client, reads_records_and_the_account_agrees) {
  load_images(500);
  counts_in_c counts;
  ASSERT_EQ(read_in_c(client, event_type_image_load, 500, &counts), SLUICE_EVENTS);
  EXPECT_EQ(counts.of_type, 500u);
  EXPECT_EQ(counts.with_time, 500u);
  EXPECT_EQ(counts.payload_bytes, 500 * (sizeof(image_load_payload) + 12));
  ASSERT_EQ(sluice_flush(client), 0);
  EXPECT_EQ(read_until_flushed(), SLUICE_FLUSHED);
  char text[1000];
  EXPECT_EQ(sluice_check(client, 1, text, sizeof text), 0) << text;
  sluice_account account;
  ASSERT_EQ(sluice_account_of(client, &account), 0);
  EXPECT_GE(account.received, 500u);
  EXPECT_EQ(account.duplicates + account.dropped + account.overwritten + account.missed + account.interruptions, 0u);
}

TEST_F(c_client, waits_for_a_time_for_a_cancel_and_by_a_descriptor) {
  const sluice_record* records = nullptr;
  size_t count = 0;
  int outcome = SLUICE_EVENTS;
  while (outcome == SLUICE_EVENTS) outcome = sluice_read(client, 1000000, &records, &count);
  EXPECT_EQ(outcome, SLUICE_TIMEOUT);
  EXPECT_EQ(count, 0u);
  std::thread cancelling([&] { EXPECT_EQ(sluice_cancel(client), 0); });
  do {
    outcome = sluice_read(client, -1, &records, &count);
  } while (outcome == SLUICE_EVENTS);
  EXPECT_EQ(outcome, SLUICE_CANCELLED);
  cancelling.join();
  test::eventually([&] {
    return sluice_read(client, 0, &records, &count) == SLUICE_TIMEOUT && poll_in_c(client, 0) == 0;
  });
  load_images(1);
  EXPECT_EQ(poll_in_c(client, 60000), 1);
  counts_in_c counts;
  EXPECT_EQ(read_in_c(client, event_type_image_load, 1, &counts), SLUICE_EVENTS);
}

// A handle that is lost, and then the driver itself: told as such, and each counted.
TEST_F(c_client, tells_what_an_interruption_was) {
  sluice_close(client);
  client_options what;
  const auto breakable = std::make_shared<test::breakable_system>(simulated_system(machine, 4242));
  what.system = breakable;
  what.by = transport::ioctl;
  what.reconnects = true;
  client = as_c_client(std::make_unique<sluice::client>(what));
  const auto read_until = [&](int wanted) {
    const sluice_record* records = nullptr;
    size_t count = 0;
    int outcome = SLUICE_EVENTS;
    while (outcome == SLUICE_EVENTS) outcome = sluice_read(client, int64_t{60} * 1000000000, &records, &count);
    EXPECT_EQ(outcome, wanted) << sluice_error();
  };
  sluice_account account;
  ASSERT_EQ(sluice_flush(client), 0);
  read_until(SLUICE_FLUSHED);

  breakable->lose_next_batch();
  load_images(1);
  read_until(SLUICE_RESTORED);
  ASSERT_EQ(sluice_account_of(client, &account), 0);
  EXPECT_EQ(account.interruptions, 1u);
  EXPECT_EQ(account.other_streams, 0u) << "the driver was there all the time";

  breakable->refuse(nt::object_name_not_found);
  breakable->lose_next_batch();
  load_images(1);
  const sluice_record* records = nullptr;
  size_t count = 0;
  test::eventually([&] { return sluice_read(client, 1000000, &records, &count) == SLUICE_AWAY; });
  ASSERT_EQ(machine.unload_driver("sluice"), STATUS_SUCCESS);
  ASSERT_EQ(machine.load_driver("sluice", &DriverEntry), STATUS_SUCCESS);
  breakable->accept();
  read_until(SLUICE_RESTORED);
  ASSERT_EQ(sluice_account_of(client, &account), 0);
  EXPECT_EQ(account.interruptions, 2u);
  EXPECT_EQ(account.other_streams, 1u);
}

TEST_F(c_client, chooses_types_and_filters) {
  ASSERT_EQ(sluice_set_types(client, 0), 0);
  load_images(3);
  ASSERT_EQ(sluice_set_types(client, ~uint64_t{0}), 0);
  uint32_t error = 0, offset = 0;
  EXPECT_EQ(sluice_set_filter(client, "none", 4, &error, &offset), 1);
  EXPECT_EQ(error, static_cast<uint32_t>(filter_error::too_short));
  EXPECT_EQ(sluice_clear_filter(client), 0);
  char name[32];
  EXPECT_EQ(sluice_type_name(client, event_type_image_load, name, sizeof name), 0);
  EXPECT_STREQ(name, "image_load");
  EXPECT_EQ(sluice_type_name(client, event_type_image_load, name, 4), 0);
  EXPECT_STREQ(name, "ima") << "cut, and ended";
}

struct served_machine : test::hosted_machine {
  served_machine() : hosted_machine([] {
    sim::machine_options options;
    options.shared_memory = true;
    return options;
  }()) {}
};

TEST_F(served_machine, is_opened_from_c_by_every_transport_with_what_was_asked_for) {
  for (const int transport : {SLUICE_AUTOMATIC, SLUICE_PORT, SLUICE_IOCTL, SLUICE_MAPPING}) {
    EXPECT_EQ(open_in_c(path.c_str(), transport), 0) << transport << ": " << sluice_error();
  }
  sluice_options options = SLUICE_OPTIONS_DEFAULT;
  options.name = path.c_str();
  options.transport = SLUICE_PORT;
  options.client_name = "from C";
  options.types = uint64_t{1} << event_type_image_load;
  sluice_client* const client = sluice_open(&options);
  ASSERT_NE(client, nullptr) << sluice_error();
  const std::vector<protocol::client_row> rows = port_source(connect(), {}).clients();
  EXPECT_TRUE(std::ranges::any_of(rows, [](const protocol::client_row& row) { return std::string_view(row.name) == "from C"; }));
  load_images(5);
  counts_in_c counts;
  EXPECT_EQ(read_in_c(client, event_type_image_load, 5, &counts), SLUICE_EVENTS);
  sluice_close(client);
}

TEST_F(c_client, says_why_it_fails_to_the_thread_that_asked) {
  EXPECT_EQ(open_in_c(nullptr, SLUICE_AUTOMATIC), -1);
  EXPECT_STRNE(sluice_error(), "");
  EXPECT_EQ(open_in_c("nobody-serves-under-this-name", SLUICE_AUTOMATIC), -1);
  EXPECT_STRNE(sluice_error(), "");
  EXPECT_EQ(open_in_c("anywhere", 7), -1);
  EXPECT_STREQ(sluice_error(), "there is no transport 7");
  std::thread([] { EXPECT_STREQ(sluice_error(), ""); }).join();
  sluice_close(nullptr);
}

}  // namespace
}  // namespace sluice
