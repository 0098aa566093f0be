// A mapped client sleeps through the driver: W1, W2, a hostile consumer page, a machine that has died, and a clock that has stepped back.
#include <random>

#include "tests/kernel_port/driver_mapping_support.h"

namespace sluice::test {
namespace {

struct handle {
  explicit handle(mapping_machine& on) {
    EXPECT_EQ(file.open(on.machine, u"Sluice", mapped_client::pid), STATUS_SUCCESS);
    std::vector<uint8_t> answer(1 << 16);
    const protocol::map_request request{protocol::version, 0};
    uint64_t bytes = 0;
    EXPECT_EQ(file.control(protocol::code_map, {reinterpret_cast<const uint8_t*>(&request), sizeof request}, answer, bytes),
              STATUS_SUCCESS);
    protocol::map_answer header;
    std::memcpy(&header, answer.data(), sizeof header);
    rings.resize(header.ring_count);
    std::memcpy(rings.data(), answer.data() + sizeof header, rings.size() * sizeof rings[0]);
  }
  NTSTATUS control(uint32_t code, std::optional<std::chrono::nanoseconds> timeout = {}) {
    uint64_t bytes = 0;
    return file.control(code, {}, {}, bytes, timeout);
  }
  // Not closed within 20 ms is not proof of sleep, but a wait that should not end does not end by luck.
  bool sleeps() { return control(protocol::code_wait, 20ms) == STATUS_TIMEOUT; }

  sim::file file;
  std::vector<protocol::mapped_ring> rings;
};

TEST(driver_mapping_wake, w1_a_close_after_the_announcement_ends_the_wait_that_comes_later) {
  mapping_machine on;
  handle client(on);
  EXPECT_TRUE(client.sleeps()) << "nothing was closed";
  ASSERT_EQ(client.control(protocol::code_announce), STATUS_SUCCESS);
  ASSERT_EQ(on.write(1), reserve_status::ok);
  EXPECT_EQ(client.control(protocol::code_wait), STATUS_SUCCESS);
  EXPECT_TRUE(client.sleeps()) << "it was told";
  ASSERT_EQ(on.write(2), reserve_status::ok);
  EXPECT_TRUE(client.sleeps()) << "nobody signals for who has not announced";
}

TEST(driver_mapping_wake, a_wake_ends_the_wait) {
  mapping_machine on;
  handle client(on);
  ASSERT_EQ(client.control(protocol::code_wake), STATUS_SUCCESS);
  EXPECT_EQ(client.control(protocol::code_wait), STATUS_SUCCESS);
  EXPECT_TRUE(client.sleeps());
}

// Anybody who can open the device may ask to wait: refused, and nothing of the client's wake-up goes to him.
TEST(driver_mapping_wake, w1_another_handle_takes_no_wake_up_away) {
  mapping_machine on;
  handle client(on);
  std::atomic<bool> stop{false};
  std::thread stranger([&] {
    sim::file other;
    EXPECT_EQ(other.open(on.machine, u"Sluice", 6000), STATUS_SUCCESS);
    for (uint64_t bytes = 0; !stop;) {
      EXPECT_EQ(other.control(protocol::code_wait, {}, {}, bytes, 60s), STATUS_INVALID_DEVICE_STATE);
    }
  });
  NTSTATUS status = STATUS_SUCCESS;
  for (uint64_t i = 0; i < 5000 && status == STATUS_SUCCESS; ++i) {
    status = client.control(protocol::code_announce);
    if (status == STATUS_SUCCESS && on.write(i) == reserve_status::invalid_type) status = STATUS_UNSUCCESSFUL;
    if (status == STATUS_SUCCESS) status = client.control(protocol::code_wait, 20s);
  }
  EXPECT_EQ(status, STATUS_SUCCESS);
  stop = true;
  stranger.join();
}

// Time stands still, so the second announcement comes too soon, however slow this machine is.
TEST(driver_mapping_wake, announcements_without_end_make_no_producer_signal) {
  mapping_machine on;
  handle client(on);
  ASSERT_EQ(client.control(protocol::code_announce), STATUS_SUCCESS);
  ASSERT_EQ(on.write(1), reserve_status::ok);
  ASSERT_EQ(client.control(protocol::code_wait), STATUS_SUCCESS);
  on.machine.stop_counter();
  ASSERT_EQ(client.control(protocol::code_announce), STATUS_SUCCESS);
  (void)client.control(protocol::code_wait, 1ms);
  ASSERT_EQ(client.control(protocol::code_announce), STATUS_SUCCESS);
  EXPECT_EQ(client.control(protocol::code_wait), STATUS_SUCCESS) << "it has to look again instead";
  on.machine.run_counter();
}

// Every event meets a client that is about to sleep: a wake-up that is lost is a read that ends without anything.
TEST(driver_mapping_wake, w1_no_wake_up_is_lost_whenever_a_record_is_closed) {
  mapping_machine on;
  mapped_client client(on.machine);
  std::atomic<uint64_t> received_events{0};
  constexpr uint64_t rounds = 2000;
  std::thread writer([&] {
    const sim::activity activity(on.machine, 1, 700, 701);
    std::minstd_rand random(1);
    for (uint64_t value = 0; value < rounds; ++value) {
      eventually([&] { return received_events.load() >= value; });
      for (uint32_t spins = random() % 20000; spins != 0; --spins) asm volatile("");
      ASSERT_EQ(on.write(value), reserve_status::ok);
    }
  });
  collected got;
  while (got.samples.size() < rounds) {
    const read_status status = client.read(got);
    if (status != read_status::batch) ADD_FAILURE() << "a wake-up was lost after " << got.samples.size();
    received_events = status == read_status::batch ? got.samples.size() : rounds;
    if (status != read_status::batch) break;
  }
  received_events = rounds;
  writer.join();
}

TEST(driver_mapping_wake, w1_a_record_that_is_closed_long_after_it_was_reserved_wakes) {
  mapping_machine on;
  mapped_client client(on.machine);
  collected got;
  while (client.read(got, 5ms) != read_status::timeout) {
  }
  kernel_record open;
  uint32_t cpu = 0;
  ASSERT_EQ(sensor_under_test->events().reserve(first_own_type, 1, sizeof(sample_event), open, cpu), reserve_status::ok);
  std::thread closer([&] {
    const sim::activity activity(on.machine, 1, 700, 701);
    std::this_thread::sleep_for(5ms);
    const sample_event event{99};
    std::memcpy(open.payload(), &event, sizeof event);
    const critical_region region;
    sensor_under_test->events().close(open, record_state::committed, cpu, first_own_type);
  });
  while (got.samples.empty()) ASSERT_EQ(client.read(got), read_status::batch);
  EXPECT_EQ(got.samples.begin()->second, 99u);
  closer.join();
}

TEST(driver_mapping_wake, cancel_and_flush_end_a_read_that_sleeps) {
  mapping_machine on;
  mapped_client client(on.machine);
  collected got;
  while (client.read(got, 5ms) != read_status::timeout) {
  }
  std::thread other([&] { client.source->cancel(); });
  EXPECT_EQ(client.read(got), read_status::cancelled);
  other.join();
  std::thread flusher([&] { client.source->flush(); });
  EXPECT_EQ(client.read(got), read_status::batch);
  flusher.join();
}

// All of it is younger than the margin when it is asked for, and more than a batch holds.
TEST(driver_mapping_wake, what_a_flush_asks_for_and_one_batch_does_not_hold_comes_with_the_next_reads) {
  mapping_machine on({.service_parameters = {{u"Sluice", u"MarginMicroseconds", 300'000}}});
  mapped_client client(on.machine);
  collected got;
  client.drain(got);
  constexpr uint64_t all = 5000;
  static_assert(all * sizeof(batch_entry) > protocol::min_read_bytes);
  for (uint64_t value = 0; value < all; ++value) ASSERT_EQ(on.write(value), reserve_status::ok);
  client.source->flush();
  for (size_t before = 0; got.samples.size() < all; before = got.samples.size()) {
    ASSERT_EQ(client.read(got), read_status::batch);
    ASSERT_GT(got.samples.size(), before) << "an answer, and not all had come";
  }
  EXPECT_EQ(client.read(got, 30s), read_status::batch) << "the flush that did not fit is answered, too";
  EXPECT_EQ(got.samples.size(), all);
  EXPECT_EQ(got.duplicates, 0u);
}

TEST(driver_mapping_hostile, r5_a_consumer_page_that_is_overwritten_at_random_harms_nobody_else) {
  mapping_machine on({.service_parameters = {{u"Sluice", u"RingBytes", 64 * 1024}}});
  uint64_t violations = 0;
  collected got;
  for (int round = 0; round < 5; ++round) {
    {
      handle hostile(on);
      std::atomic<bool> stop{false};
      std::atomic<uint64_t> stored{0};
      std::thread vandal([&] {
        std::minstd_rand random(static_cast<uint32_t>(round) + 1);
        while (!stop) {
          const protocol::mapped_ring& ring = hostile.rings[random() % hostile.rings.size()];
          auto* const words = reinterpret_cast<volatile uint32_t*>(ring.consumer);
          __atomic_store_n(&words[random() % 2 == 0 ? 0 : random() % 1024], static_cast<uint32_t>(random()), __ATOMIC_RELEASE);
          stored.fetch_add(1, std::memory_order_relaxed);
          if (random() % 64 == 0) (void)hostile.control(protocol::code_announce);
        }
      });
      sample_writer first(on, 0), second(on, 1);
      eventually([&] { return first.written() + second.written() >= 2000 && stored.load() >= 2000; });
      // Until room is short, the claims are not even looked at.
      for (uint64_t value = 0; value < 20000; ++value) (void)on.write(value);
      first.stop();
      second.stop();
      stop = true;
      vandal.join();
    }
    client reader(on.machine);
    for (const received& record : reader.drain()) got.add(record);
    protocol::statistics_header header;
    const auto rows = reader.statistics(&header);
    for (const protocol::statistics_row& row : rows) EXPECT_TRUE(row.balances());
    EXPECT_GT(header.violations, violations) << "the test did send wrong claims";
    violations = header.violations;
    // It is over with the client: room is given back again, and everything arrives.
    const size_t before = got.samples.size();
    for (uint64_t value = 0; value < 500; ++value) ASSERT_EQ(on.write(value), reserve_status::ok);
    for (const received& record : reader.drain()) got.add(record);
    EXPECT_EQ(got.samples.size(), before + 500);
  }
  EXPECT_EQ(got.duplicates, 0u);
}

// The kernel of a machine that has died answers nothing more; its memory is still mapped.
class dying_device : public nt_device {
 public:
  dying_device(std::unique_ptr<nt_device> device, const std::atomic<bool>& dead) : device_(std::move(device)), dead_(dead) {}
  nt_status read(std::span<uint8_t> buffer, uint64_t& bytes, nt_timeout timeout) override {
    return dead_ ? nt::device_removed : device_->read(buffer, bytes, timeout);
  }
  nt_status control(uint32_t code, std::span<const uint8_t> in, std::span<uint8_t> out, uint64_t& bytes,
                    nt_timeout timeout) override {
    return dead_ ? nt::device_removed : device_->control(code, in, out, bytes, timeout);
  }
  void cancel() override { device_->cancel(); }

 private:
  std::unique_ptr<nt_device> device_;
  const std::atomic<bool>& dead_;
};

class dying_system : public nt_system {
 public:
  explicit dying_system(sim::machine& machine) : living_(simulated_system(machine, mapped_client::pid)) {}
  nt_status open_device(std::u16string_view name, std::unique_ptr<nt_device>& opened) override {
    std::unique_ptr<nt_device> device;
    const nt_status status = living_->open_device(name, device);
    if (succeeded(status)) opened = std::make_unique<dying_device>(std::move(device), dead);
    return status;
  }
  nt_status connect_port(std::u16string_view, std::span<const uint8_t>, std::unique_ptr<nt_port>&) override {
    return nt::not_supported;
  }
  uint64_t counter() override { return living_->counter(); }
  std::atomic<bool> dead{false};

 private:
  std::shared_ptr<nt_system> living_;
};

TEST(driver_mapping_death, what_was_committed_can_be_read_after_the_machine_has_died) {
  mapping_machine on;
  const auto system = std::make_shared<dying_system>(on.machine);
  mapping_source source(system);
  kernel_record open;
  uint32_t cpu = 0;
  for (uint64_t value = 0; value < 3000; ++value) ASSERT_EQ(on.write(value), reserve_status::ok);
  ASSERT_EQ(sensor_under_test->events().reserve(first_own_type, 1, sizeof(sample_event), open, cpu), reserve_status::ok);
  for (uint64_t value = 3000; value < 6000; ++value) ASSERT_EQ(on.write(value), reserve_status::ok);
  system->dead = true;
  collected got;
  std::vector<uint8_t> buffer(protocol::min_read_bytes);
  bool told = false;
  while (!told) {
    try {
      const read_result result = source.read(buffer, 60s);
      ASSERT_EQ(result.status, read_status::batch);
      for (const received& record : parse(buffer, result.bytes)) got.add(record);
    } catch (const source_error& error) {
      EXPECT_NE(std::string(error.what()).find("c00002b6"), std::string::npos) << error.what();
      told = true;
    }
  }
  EXPECT_EQ(got.samples.size(), 6000u);
  EXPECT_THROW((void)source.read(buffer, 0s), source_error);
  const critical_region region;
  sensor_under_test->events().close(open, record_state::discarded, cpu, first_own_type);
}

TEST(driver_mapping_clock, a_client_that_maps_after_the_clock_has_stepped_back_goes_on_with_the_streams_times) {
  mapping_machine on;
  uint64_t last = 0;
  {
    client reader(on.machine);
    ASSERT_EQ(on.write(1), reserve_status::ok);
    (void)reader.drain();
    on.machine.move_counter(-50'000'000);
    ASSERT_EQ(on.write(2), reserve_status::ok);
    for (const received& record : reader.drain()) last = record.time;
    ASSERT_EQ(reader.capabilities().clock_epoch, 1u);
  }
  mapping_source source(simulated_system(on.machine, mapped_client::pid));
  ASSERT_EQ(on.write(3), reserve_status::ok);
  std::vector<uint8_t> buffer(protocol::min_read_bytes);
  source.flush();
  const read_result result = source.read(buffer, 60s);
  ASSERT_EQ(result.status, read_status::batch);
  const auto samples = of_type(parse(buffer, result.bytes), first_own_type);
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_GT(samples[0].time, last);
}

}  // namespace
}  // namespace sluice::test
