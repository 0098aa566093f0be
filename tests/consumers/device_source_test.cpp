// The source over the driver's device, with the driver's own code on the simulated machine.
#include "consumers/device_source.h"
#include "consumers/nt/simulated_system.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "consumers/event_stream.h"

extern "C" NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path);

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr uint32_t client_pid = 4242;

struct device_source_test : testing::Test {
  sim::machine machine{[] {
    sim::machine_options options;
    options.service_parameters = {{u"sluice", u"RingBytes", 16384}};
    return options;
  }()};
  device_source_test() { EXPECT_EQ(machine.load_driver("sluice", &DriverEntry), STATUS_SUCCESS); }
  ~device_source_test() override { EXPECT_EQ(machine.unload_driver("sluice"), STATUS_SUCCESS); }

  // Loads an image `count` times on CPU 0.
  void load_images(uint32_t count) {
    sim::activity here(machine, 0, 4, 8);
    for (uint32_t i = 0; i < count; ++i) sim::load_image({4, 0x1000, 0x2000, false, false, 0, 0, u"\\a.dll"});
  }

  // Reads until the driver has nothing left. False: it did not come to an end.
  static bool drain(event_stream& stream, device_source& source) {
    for (const auto limit = std::chrono::steady_clock::now() + minutes(2); std::chrono::steady_clock::now() < limit;) {
      source.flush();
      while (stream.next(milliseconds(20)) != nullptr) {
        while (stream.next(milliseconds(0)) != nullptr) {
        }
      }
      if (stream.account().drained(source.statistics())) return true;
    }
    return false;
  }
};

TEST_F(device_source_test, a_device_that_is_not_there_is_an_error) {
  EXPECT_THROW(device_source(simulated_system(machine, client_pid), u"Nothing"), source_error);
}

TEST_F(device_source_test, delivers_every_event_and_the_accounts_agree) {
  device_source source(simulated_system(machine, client_pid));
  event_stream stream(source);
  const uint64_t raised_before = sim::raised().image_load;
  load_images(20);
  ASSERT_TRUE(drain(stream, source));
  EXPECT_EQ(stream.account().received_of(event_type_image_load), 20u);
  const raised_callbacks raised{{{event_type_image_load, sim::raised().image_load - raised_before}}, ~uint64_t{0}};
  EXPECT_EQ(stream.account().check(source.statistics(), &raised), std::vector<std::string>());
}

TEST_F(device_source_test, what_did_not_fit_is_announced_even_if_nothing_follows) {
  device_source source(simulated_system(machine, client_pid));
  event_stream stream(source);
  load_images(1000);  // more than 16 KiB hold, and nobody reads
  ASSERT_TRUE(drain(stream, source));
  const driver_statistics statistics = source.statistics();
  EXPECT_EQ(stream.account().check(statistics, nullptr), std::vector<std::string>());
  EXPECT_GT(stream.account().announced_events(), 0u);
  EXPECT_EQ(stream.account().received_of(event_type_image_load) + stream.account().announced_events(), 1000u);
  // Once more, now that there was a gap: its LOSS record and the figures tell of the same events.
  load_images(1);
  ASSERT_TRUE(drain(stream, source));
  EXPECT_EQ(stream.account().check(source.statistics(), nullptr), std::vector<std::string>());
}

TEST_F(device_source_test, a_type_switched_off_is_not_attempted_and_a_type_that_is_not_there_is_refused) {
  device_source source(simulated_system(machine, client_pid));
  const uint64_t can = source.capabilities().types;
  source.set_types(can & ~(uint64_t{1} << event_type_image_load));
  event_stream stream(source);
  load_images(3);
  ASSERT_TRUE(drain(stream, source));
  EXPECT_EQ(stream.account().received_of(event_type_image_load), 0u);
  EXPECT_EQ(source.statistics().header.switched_off, 3u);
  EXPECT_THROW(source.set_types(uint64_t{1} << 63), source_error);
}

TEST_F(device_source_test, a_read_ends_by_timeout_by_cancel_and_by_flush) {
  device_source source(simulated_system(machine, client_pid));
  std::vector<uint8_t> buffer(source.least_buffer());
  EXPECT_EQ(source.read(buffer, seconds(60)).status, read_status::batch) << "the first anchor";
  EXPECT_EQ(source.read(buffer, milliseconds(5)).status, read_status::timeout);
  {
    std::atomic<bool> ended{false};
    std::thread canceller([&] {
      while (!ended) {
        source.cancel();
        std::this_thread::sleep_for(milliseconds(1));
      }
    });
    EXPECT_EQ(source.read(buffer, seconds(60)).status, read_status::cancelled);
    ended = true;
    canceller.join();
  }
  source.flush();
  const read_result flushed = source.read(buffer, seconds(60));
  EXPECT_EQ(flushed.status, read_status::batch);
  EXPECT_EQ(batch_reader(std::span<const uint8_t>(buffer).first(flushed.bytes)).record_count(), 0u);
}

TEST_F(device_source_test, a_buffer_that_is_too_short_is_an_error_and_not_a_loss) {
  device_source source(simulated_system(machine, client_pid));
  std::vector<uint8_t> buffer(100);
  EXPECT_THROW((void)source.read(buffer, milliseconds(10)), source_error);
  event_stream stream(source);
  load_images(2);
  ASSERT_TRUE(drain(stream, source));
  EXPECT_EQ(stream.account().received_of(event_type_image_load), 2u);
}

TEST_F(device_source_test, one_handle_reads_at_a_time) {
  device_source first(simulated_system(machine, client_pid));
  device_source second(simulated_system(machine, client_pid));
  std::vector<uint8_t> buffer(first.least_buffer());
  (void)first.read(buffer, seconds(60));
  EXPECT_THROW((void)second.read(buffer, milliseconds(10)), source_error);
  EXPECT_EQ(second.statistics().header.version, protocol::version) << "asking is for everybody";
}

}  // namespace
}  // namespace sluice
