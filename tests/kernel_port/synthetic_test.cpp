// Synthetic load: its rhythm, mix and sizes, and that the machine and the driver see what the source says it made.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <set>
#include <system_error>

#include "consumers/device_source.h"
#include "consumers/nt/simulated_system.h"
#include "consumers/event_stream.h"
#include "kernel_port/sources/synthetic/load_driver.h"
#include "kernel_port/sources/synthetic/synthetic_source.h"
#include "tests/eventually.h"

namespace sluice::synthetic {
namespace {

// How many of `events` fall into each of `bins` bins of `seconds`.
std::vector<uint32_t> histogram(const rhythm& shape, double per_second, double seconds, size_t bins, uint64_t seed = 1) {
  std::vector<uint32_t> counts(bins);
  pacer due(shape, per_second, dice(seed), 0);
  for (double at = due.next() / 1e9; at < seconds; at = due.next() / 1e9) ++counts[static_cast<size_t>(at / seconds * static_cast<double>(bins))];
  return counts;
}

TEST(rhythm, steady_is_even) {
  for (const uint32_t count : histogram(steady(), 1000, 10, 100)) EXPECT_NEAR(count, 100, 1);
}

TEST(rhythm, poisson_has_the_rate_and_scatters_as_it_should) {
  const std::vector<uint32_t> counts = histogram(poisson(), 1000, 100, 1000);
  double sum = 0, squares = 0;
  for (const uint32_t count : counts) {
    sum += count;
    squares += static_cast<double>(count) * count;
  }
  const double mean = sum / 1000, variance = squares / 1000 - mean * mean;
  EXPECT_NEAR(mean, 100, 2);
  EXPECT_NEAR(variance / mean, 1, 0.2) << "of a Poisson process mean and variance are the same";
}

TEST(rhythm, bursts_have_all_events_in_their_share_of_the_period) {
  const std::vector<uint32_t> counts = histogram(bursts(1'000'000'000, 0.1), 1000, 10, 100);
  for (size_t bin = 0; bin < 100; ++bin) {
    if (bin % 10 == 0) {
      EXPECT_NEAR(counts[bin], 1000, 2) << bin;
    } else {
      EXPECT_LE(counts[bin], 1u) << bin;
    }
  }
}

TEST(rhythm, of_a_recording_is_that_of_its_events) {
  char name[] = "/tmp/sluice_rhythm_XXXXXX";
  ::close(::mkstemp(name));
  {
    std::ofstream file(name);
    const auto add = [&](uint64_t t, int count) {
      for (int i = 0; i < count; ++i) file << "{\"t\":" << t << ",\"type\":\"image_load\",\"pid\":8}\n";
    };
    add(5'000'000, 1);
    add(6'500'000, 8);  // the second step of 100 ms
    add(8'000'000, 3);  // the fourth
  }
  const rhythm shape = from_recording(name);
  EXPECT_EQ(shape.step, 100'000'000u);
  ASSERT_EQ(shape.levels.size(), 4u);
  EXPECT_DOUBLE_EQ(shape.levels[0], 1.0 / 3);
  EXPECT_DOUBLE_EQ(shape.levels[1], 8.0 / 3);
  EXPECT_DOUBLE_EQ(shape.levels[2], 0);
  EXPECT_DOUBLE_EQ(shape.levels[3], 1);
  const std::vector<uint32_t> counts = histogram(shape, 10'000, 40, 4 * 100);
  for (size_t bin = 2; bin < 400; bin += 4) EXPECT_EQ(counts[bin], 0u);
  std::ofstream(name) << "nothing\n";
  EXPECT_THROW(from_recording(name), std::runtime_error);
  ::unlink(name);
  EXPECT_THROW(from_recording(name), std::system_error);
}

TEST(load_shape, the_mix_is_what_was_asked_for) {
  dice random(3);
  uint32_t counts[activity_kinds] = {};
  for (int i = 0; i < 100'000; ++i) ++counts[static_cast<size_t>(choose(activity_mix{1, 0, 3, 0, 6}, random))];
  EXPECT_NEAR(counts[0], 10'000, 500);
  EXPECT_EQ(counts[1], 0u);
  EXPECT_NEAR(counts[2], 30'000, 800);
  EXPECT_EQ(counts[3], 0u);
  EXPECT_NEAR(counts[4], 60'000, 800);
}

TEST(load_shape, sizes_lie_where_they_should) {
  dice random(4);
  std::vector<uint32_t> recorded;
  for (int i = 0; i < 20'000; ++i) {
    const uint32_t size = choose(size_distribution{16, 512, false}, random);
    EXPECT_GE(size, 16u);
    EXPECT_LE(size, 512u);
    recorded.push_back(choose(size_distribution{0, 0, true}, random));
  }
  std::sort(recorded.begin(), recorded.end());
  const auto up_to = [&](uint32_t size) { return std::upper_bound(recorded.begin(), recorded.end(), size) - recorded.begin(); };
  EXPECT_NEAR(up_to(122), 10'000, 400);
  EXPECT_NEAR(up_to(434), 19'000, 200);
  EXPECT_NEAR(up_to(816), 19'800, 80);
  EXPECT_LE(recorded.back(), 10'970u);
}

struct synthetic_test : testing::Test {
  explicit synthetic_test(uint32_t ring_bytes = 1u << 20) : machine([&] {
    sim::machine_options options;
    options.processors = 3;
    options.service_parameters = {{u"sluice", u"RingBytes", ring_bytes}, {u"sluice", u"RegistryOperations", 0x3f}};
    return options;
  }()) {
    EXPECT_EQ(machine.load_driver("sluice", &SyntheticDriverEntry), STATUS_SUCCESS);
  }
  ~synthetic_test() override { EXPECT_EQ(machine.unload_driver("sluice"), STATUS_SUCCESS); }

  // Runs until `events` were made and `enough` was seen, reading all the while; what is left is read, too.
  void run(const synthetic_options& options, uint64_t events, const std::function<bool()>& enough = [] { return true; }) {
    device_source device(simulated_system(machine, 4242));
    event_stream stream(device);
    {
      synthetic_source source(options, machine);
      source.start();
      test::eventually([&] {
        take(stream);
        counts = source.counts();
        return total() >= events && enough();
      });
      source.stop();
      counts = source.counts();
    }
    test::eventually([&] {
      device.flush();
      take(stream);
      statistics = device.statistics();
      return stream.account().drained(statistics);
    });
    raised_callbacks raised{{{event_type(), counts.made[4]}}, uint64_t{1} << event_type()};
    broken = stream.account().check(statistics, &raised);
    account = stream.account();
  }
  void take(event_stream& stream) {
    for (const decoded_event* event = stream.next(std::chrono::milliseconds(20)); event != nullptr;
         event = stream.next(std::chrono::nanoseconds(0))) {
      if (event->type != event_type()) continue;
      const auto* own = std::get_if<own_event>(&event->body);
      ASSERT_NE(own, nullptr);
      const uint64_t sequence = std::get<uint64_t>(own->values[0]);
      const uint64_t producer = std::get<uint64_t>(own->values[1]);
      at_dispatch += std::get<uint64_t>(own->values[2]) == DISPATCH_LEVEL;
      const auto [last, fresh] = last_sequence.try_emplace(producer, sequence);
      EXPECT_TRUE(fresh || sequence > last->second) << "the events of a producer came out of order";
      last->second = sequence;
      cpus.insert(event->identity.cpu);
    }
  }
  // Events of a type that reached the reader, or of which it was told that they had found no room.
  uint64_t accounted(uint16_t type) const {
    uint64_t sum = account.received_of(type);
    for (uint16_t cpu = 0; cpu < 3; ++cpu) sum += account.announced_of(cpu, type);
    return sum;
  }
  uint64_t total() const {
    uint64_t sum = 0;
    for (const uint64_t made : counts.made) sum += made;
    return sum;
  }

  sim::machine machine;
  synthetic_counts counts;
  driver_statistics statistics;
  accounting account;
  std::vector<std::string> broken;
  std::map<uint64_t, uint64_t> last_sequence;
  std::set<uint16_t> cpus;
  uint64_t at_dispatch = 0;
};

TEST_F(synthetic_test, everything_that_it_makes_is_attempted_and_delivered_from_every_cpu) {
  synthetic_options options;
  options.rate = 20'000;
  options.producers_per_cpu = 2;
  options.sizes = {16, 600, false};
  // A producer may have to wait long for a processor of the host.
  run(options, 3000, [&] { return last_sequence.size() == 6 && cpus.size() == 3 && at_dispatch > 0; });
  EXPECT_TRUE(broken.empty()) << broken.front();
  EXPECT_EQ(counts.refused, 0u);
  EXPECT_EQ(accounted(event_type_image_load), counts.made[2]);
  EXPECT_EQ(accounted(event_type_process_create) + accounted(event_type_process_exit), counts.made[0]);
  EXPECT_EQ(accounted(event_type_thread_create) + accounted(event_type_thread_exit), counts.made[1]);
  EXPECT_EQ(accounted(event_type_registry_set_value), counts.made[3]);
  EXPECT_EQ(accounted(event_type()), counts.made[4]);
  if (account.announced_events() == 0) {  // a reader that waits long for a processor misses some
    EXPECT_EQ(at_dispatch, counts.at_dispatch_level);
  }
  EXPECT_GT(at_dispatch, 0u);
  EXPECT_LT(at_dispatch, counts.made[4]);
  EXPECT_EQ(cpus.size(), 3u);
  EXPECT_EQ(last_sequence.size(), 6u);
}

struct synthetic_flood_test : synthetic_test {
  synthetic_flood_test() : synthetic_test(4096) {}
};

TEST_F(synthetic_flood_test, flat_out_into_tiny_rings_loses_and_every_loss_is_accounted) {
  synthetic_options options;
  options.rate = 0;
  options.producers_per_cpu = 2;
  options.sizes.as_recorded = true;
  run(options, 50'000);
  EXPECT_TRUE(broken.empty()) << broken.front();
  EXPECT_GT(account.announced_events(), 0u);
  EXPECT_EQ(accounted(event_type()), counts.made[4]);
}

TEST_F(synthetic_test, what_cannot_be_is_refused) {
  synthetic_options options;
  options.producers_per_cpu = most_producers;
  EXPECT_THROW(synthetic_source(options, machine), std::invalid_argument);
  options = {};
  options.mix = {};
  EXPECT_THROW(synthetic_source(options, machine), std::invalid_argument);
}

}  // namespace
}  // namespace sluice::synthetic
