// The source over the driver's port: events, accounts and wishes of several clients, with the driver's own code on the simulated
// machine.
#include "consumers/port_source.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <thread>

#include "consumers/client/client.h"
#include "consumers/device_source.h"
#include "consumers/nt/simulated_system.h"
#include "consumers/event_stream.h"
#include "tests/consumers/drain.h"
#include "tests/eventually.h"

extern "C" NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path);

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint32_t client_pid = 4242;
constexpr uint64_t images_only = uint64_t{1} << event_type_image_load;
constexpr seconds patience{60};
constexpr uint32_t full_queue = 8;  // batches

struct port_source_test : testing::Test {
  sim::machine machine;
  explicit port_source_test(const sim::machine_options& options = {}) : machine(options) { EXPECT_EQ(machine.load_driver("sluice", &DriverEntry), STATUS_SUCCESS); }
  ~port_source_test() override {
    if (loaded) {
      EXPECT_EQ(machine.unload_driver("sluice"), STATUS_SUCCESS);
    }
  }
  bool loaded = true;

  void load_images(uint32_t count, uint32_t pid = 4) {
    sim::activity here(machine, 0, pid, 8);
    for (uint32_t i = 0; i < count; ++i) sim::load_image({.base = i, .path = u"\\Device\\HarddiskVolume1\\some.dll"});
  }
};

struct overwriting_rings : port_source_test {
  overwriting_rings() : port_source_test({.service_parameters = {{u"Sluice", u"Mode", 1}, {u"Sluice", u"RingBytes", 65536}}}) {}
};

client_options of_port(sim::machine& machine, uint32_t pid) {
  client_options options;
  options.system = simulated_system(machine, pid);
  options.by = transport::port;
  return options;
}

void read_to_the_end(client& of) {
  of.flush();
  do {
    (void)of.read(patience);
  } while (of.last() != client_outcome::flushed);
}

// The answer to an earlier flush may be there already: it is none to a later one.
TEST_F(port_source_test, a_flush_that_was_made_last_is_answered_last) {
  client one(of_port(machine, client_pid));
  read_to_the_end(one);
  for (int round = 0; round < 20; ++round) {
    one.flush();
    test::eventually([&] { return one.driver()->own_row().waiting_batches == 1; });  // the answer
    load_images(3);
    const uint64_t before = one.account().received_of(event_type_image_load);
    read_to_the_end(one);
    ASSERT_EQ(one.account().received_of(event_type_image_load) - before, 3u) << round;
  }
}

// The driver counts it as one record that this client has lost; the client is told of what was overwritten.
TEST_F(overwriting_rings, a_client_that_lost_what_told_of_an_overwriting_finds_its_account_in_agreement) {
  client slow(of_port(machine, client_pid)), fast(of_port(machine, client_pid + 1));
  // Until both queues are full, slowly enough for the ring; then it goes round.
  uint64_t offered = 0;
  test::eventually([&] {
    const protocol::client_row row = slow.driver()->own_row();
    if (row.offered != offered || offered == 0) load_images(100);
    return row.offered == std::exchange(offered, row.offered) && row.waiting_batches == full_queue;
  });
  load_images(30000);
  read_to_the_end(fast);
  EXPECT_GT(fast.account().overwritten_events(), 0u) << "the premise: it was told so";
  EXPECT_EQ(fast.check(false), std::vector<std::string>());
  read_to_the_end(slow);
  EXPECT_EQ(slow.account().overwritten_events(), 0u) << "the premise: it has lost what tells so";
  EXPECT_GT(slow.account().missed_events(), 0u);
  EXPECT_EQ(slow.check(false), std::vector<std::string>());
}

TEST_F(port_source_test, a_filter_of_its_own_keeps_out_of_one_client_what_another_gets) {
  port_source all(simulated_system(machine, client_pid + 1), {.name = "all"});  // first: it gets what lies there from before
  port_source chosen(simulated_system(machine, client_pid), {.name = "chosen"});
  filter_header nothing{};
  nothing.magic = filter_magic;
  nothing.version = filter_version;
  nothing.header_bytes = nothing.total_bytes = sizeof nothing;
  uint8_t message[sizeof nothing];
  std::memcpy(message, &nothing, sizeof nothing);
  EXPECT_EQ(chosen.set_own_filter(message).error, 0u);
  EXPECT_NE(chosen.set_own_filter(std::span<const uint8_t>(message).first(8)).error, 0u);
  event_stream of_chosen(chosen), of_all(all);
  load_images(10);
  ASSERT_TRUE(test::drain(of_all, all));
  EXPECT_EQ(of_all.account().received_of(event_type_image_load), 10u);
  chosen.clear_own_filter();
  load_images(1);
  test::eventually([&] {
    chosen.flush();
    while (of_chosen.next(milliseconds(1)) != nullptr) {
    }
    return of_chosen.account().received_of(event_type_image_load) == 1;
  });
}

TEST_F(port_source_test, delivers_every_event_and_the_accounts_agree) {
  port_source source(simulated_system(machine, client_pid), {});
  event_stream stream(source);
  load_images(20);
  ASSERT_TRUE(test::drain(stream, source));
  EXPECT_EQ(stream.account().received_of(event_type_image_load), 20u);
  EXPECT_EQ(stream.account().check(source.statistics(), nullptr), std::vector<std::string>());
}

TEST_F(port_source_test, of_several_clients_each_gets_what_it_wants) {
  port_source all(simulated_system(machine, client_pid), {.name = "all"});
  port_source images(simulated_system(machine, client_pid + 1), {.types = images_only, .without_own_process = true, .name = "images"});
  event_stream of_all(all), of_images(images);
  load_images(3, client_pid + 1);
  load_images(5);
  ASSERT_TRUE(test::drain(of_all, all));
  EXPECT_EQ(of_all.account().received_of(event_type_image_load), 8u);
  images.flush();
  while (of_images.account().received_of(event_type_image_load) < 5) {
    ASSERT_NE(of_images.next(patience), nullptr);
  }
  images.flush();
  while (of_images.next(milliseconds(20)) != nullptr) {
  }
  EXPECT_EQ(of_images.account().received_of(event_type_image_load), 5u);
  const auto rows = all.clients();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(std::count_if(rows.begin(), rows.end(), [](const auto& row) { return std::string(row.name) == "images"; }), 1);
}

TEST_F(port_source_test, what_a_slow_client_missed_is_told_and_its_accounts_agree) {
  port_source slow(simulated_system(machine, client_pid), {.name = "slow"});
  port_source fast(simulated_system(machine, client_pid + 1), {.name = "fast"});
  event_stream of_slow(slow), of_fast(fast);
  for (uint32_t round = 0; round < 30; ++round) {  // more than a queue holds
    load_images(200);
    while (of_fast.account().received_of(event_type_image_load) < 200 * (round + 1)) {
      ASSERT_NE(of_fast.next(patience), nullptr);
    }
  }
  ASSERT_TRUE(test::drain(of_slow, slow));
  EXPECT_GT(of_slow.account().missed_of(event_type_image_load), 0u);
  EXPECT_EQ(of_slow.account().received_of(event_type_image_load) + of_slow.account().missed_of(event_type_image_load), 6000u);
  EXPECT_EQ(of_slow.account().check(slow.statistics(), nullptr), std::vector<std::string>());
  EXPECT_EQ(of_fast.account().missed_events(), 0u);
}

TEST_F(port_source_test, a_read_without_events_ends_at_its_time_or_when_it_is_cancelled) {
  port_source source(simulated_system(machine, client_pid), {});
  std::vector<uint8_t> buffer(source.least_buffer());
  const auto read_to_the_end = [&](std::chrono::nanoseconds timeout) {
    for (;;) {
      const read_result result = source.read(buffer, timeout);
      if (result.status != read_status::batch) return result;
    }
  };
  EXPECT_EQ(read_to_the_end(milliseconds(1)).status, read_status::timeout);
  std::atomic<bool> ended{false};
  std::thread cancelling([&] {
    while (!ended) {  // until it has met the read
      source.cancel();
      std::this_thread::sleep_for(milliseconds(1));
    }
  });
  const read_result result = read_to_the_end(patience);
  ended = true;
  cancelling.join();
  EXPECT_EQ(result.status, read_status::cancelled);
}

TEST_F(port_source_test, a_driver_that_goes_is_an_error_and_no_wait) {
  port_source source(simulated_system(machine, client_pid), {});
  event_stream stream(source);
  ASSERT_TRUE(test::drain(stream, source));
  std::thread unloading([&] { EXPECT_EQ(machine.unload_driver("sluice"), STATUS_SUCCESS); });
  loaded = false;
  std::vector<uint8_t> buffer(source.least_buffer());
  EXPECT_THROW({ while (source.read(buffer, patience).status == read_status::batch) {} }, source_error);
  unloading.join();
}

TEST_F(port_source_test, who_is_refused_is_told_why) {
  EXPECT_THROW(port_source(simulated_system(machine, client_pid), {.name = std::string(33, 'n')}), source_error);
  EXPECT_THROW(port_source(simulated_system(machine, client_pid), {.name = "a\nb"}), source_error);
  std::vector<std::unique_ptr<port_source>> clients;
  for (uint32_t i = 0; i < protocol::max_port_clients; ++i) {
    clients.push_back(std::make_unique<port_source>(simulated_system(machine, client_pid + i), port_source::wishes{}));
  }
  try {
    port_source one_more(simulated_system(machine, client_pid), {});
    FAIL();
  } catch (const source_error& error) {
    EXPECT_STREQ(error.what(), "the driver has as many clients as it serves");
  }
}

}  // namespace
}  // namespace sluice
