// Filters replaced while events come: each event is decided by one whole filter, nothing is lost, nothing is left behind.
#include "tests/kernel_port/driver_registry_support.h"
#include "tests/kernel_port/filter_test_support.h"

namespace sluice::test {
namespace {

constexpr auto patience = std::chrono::seconds(120);

// Reads until told to stop, and then what is left.
class reading_client {
 public:
  explicit reading_client(sim::machine& machine) : client_(machine), thread_([this] { run(); }) {}
  ~reading_client() { stop(); }
  std::vector<received>& finish() {
    stop();
    for (received& record : client_.drain()) records_.push_back(std::move(record));
    return records_;
  }
  client& control() { return client_; }

 private:
  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  void run() {
    while (!stop_.load()) (void)client_.read(records_, std::chrono::milliseconds(20));
  }
  client client_;
  std::vector<received> records_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

uint32_t pid_of(const received& record) { return record.as<image_load_payload>().pid; }

// Two filters that are replaced by each other all the time. Each refuses some events for one reason and others for another, so
// that half of one and half of the other would let events through that both refuse as a whole, or refuse what both keep.
TEST(driver_filter_swap, every_event_is_decided_by_one_whole_filter_and_none_is_lost) {
  loaded_machine on({.processors = 3});
  ASSERT_EQ(on.status, STATUS_SUCCESS);
  reading_client reader(on.machine);
  client setter(on.machine);
  // Process 700 with \p: a by its process, b by its path. 800 with \q: the other way round. 900: kept by both.
  const filter_parts a{.processes = {{700, filter_rule_exclude}}, .images = {{u"\\q", true}}};
  const filter_parts b{.processes = {{800, filter_rule_exclude}}, .images = {{u"\\p", true}}};
  set_filter(setter, a);
  const uint64_t held = on.machine.in_use().pool_blocks;

  constexpr uint64_t enough_swaps = 300, enough_events = 2000;
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> events[2] = {};
  std::vector<std::thread> producers;
  for (uint32_t i = 0; i < 2; ++i) {
    producers.emplace_back([&, i] {
      sim::activity here(on.machine, i, 700, 704);
      while (!stop.load()) {
        // All in the context of the process that the image is loaded into; now and then on another CPU.
        here.become(static_cast<uint32_t>(events[i].load() % 3), 700, 704 + 4 * i);
        sim::load_image({.pid = 700, .base = 1, .path = u"\\p"});
        here.become(i, 800, 804 + 4 * i);
        sim::load_image({.pid = 800, .base = 1, .path = u"\\q"});
        here.become(i, 900, 904 + 4 * i);
        sim::load_image({.pid = 900, .base = 1, .path = u"\\r"});
        events[i].fetch_add(3);
      }
    });
  }
  uint64_t swaps = 0;
  const auto limit = std::chrono::steady_clock::now() + patience;
  while ((swaps < enough_swaps || events[0].load() < enough_events || events[1].load() < enough_events) &&
         std::chrono::steady_clock::now() < limit) {
    const uint64_t generation = set_filter(setter, swaps % 2 == 0 ? b : a);
    EXPECT_EQ(generation, swaps + 2);
    ++swaps;
  }
  stop = true;
  for (std::thread& producer : producers) producer.join();
  EXPECT_GE(swaps, enough_swaps);
  EXPECT_EQ(on.machine.in_use().pool_blocks, held) << "each filter's memory is given back when the next is in force";

  const std::vector<received>& records = of_type(reader.finish(), event_type_image_load);
  for (const received& record : records) ASSERT_EQ(pid_of(record), 900u) << "no whole filter keeps it";
  const uint64_t raised = events[0].load() + events[1].load();
  EXPECT_EQ(sim::raised().image_load, raised);
  const auto row = filtered_of(reader.control(), event_type_image_load);
  EXPECT_EQ(row.account.attempted, raised);
  EXPECT_EQ(row.account.committed, records.size());
  EXPECT_EQ(row.account.committed + row.account.dropped_total(), raised / 3) << "no whole filter refuses these";
  EXPECT_EQ(row.filtered_total(), raised / 3 * 2);
  EXPECT_EQ(row.filtered[static_cast<uint32_t>(filter_reason::process)] +
                row.filtered[static_cast<uint32_t>(filter_reason::image)],
            row.filtered_total());
}

// A thousand times a second, as far as the host gives it, and for so long: nothing is asserted of how many that were.
TEST(driver_filter_swap, a_thousand_swaps_a_second_under_load_lose_and_leak_nothing) {
  constexpr uint32_t cpus = 3;
  constexpr uint64_t most_swaps = 1500;
  constexpr auto longest = std::chrono::seconds(5);
  loaded_machine on({.processors = cpus});
  ASSERT_EQ(on.status, STATUS_SUCCESS);
  reading_client reader(on.machine);
  client setter(on.machine);
  // By turns 700 and 800 are refused; 900 never is. Each filter has tables of its own, to be given back.
  const filter_parts parts[] = {{.processes = {{700, filter_rule_exclude}}, .images = {{u"\\x", true}}},
                                {.processes = {{800, filter_rule_exclude}}, .images = {{u"\\y", true}, {u"\\z", true}}}};
  uint64_t generation = set_filter(setter, parts[0]);
  set_filter(setter, parts[1]);
  ++generation;
  const uint64_t held[] = {on.machine.in_use().pool_blocks, on.machine.in_use().pool_bytes};
  std::atomic<bool> stop{false};
  std::vector<std::atomic<uint64_t>> rounds(cpus);
  std::vector<std::thread> producers;
  for (uint32_t i = 0; i < cpus; ++i) {
    producers.emplace_back([&, i] {
      sim::activity here(on.machine, i, 700, 704 + 4 * i);
      while (!stop.load()) {
        for (const uint32_t pid : {700u, 800u, 900u}) sim::load_image({.pid = pid, .base = 1, .path = u"\\p"});
        rounds[i].fetch_add(1);
        std::this_thread::yield();  // the setter's requests run on these CPUs, too
      }
    });
  }
  const auto begin = std::chrono::steady_clock::now();
  auto due = begin;
  uint64_t swaps = 0;
  for (; swaps < most_swaps && std::chrono::steady_clock::now() - begin < longest; ++swaps) {
    EXPECT_EQ(set_filter(setter, parts[swaps % 2]), ++generation);
    due += std::chrono::milliseconds(1);
    std::this_thread::sleep_until(due);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  EXPECT_EQ(set_filter(setter, parts[1]), ++generation);  // as when the memory was looked at, however many swaps there were
  stop = true;
  for (std::thread& producer : producers) producer.join();
  RecordProperty("swaps_per_second", std::to_string(static_cast<double>(swaps) / seconds));
  std::printf("%llu swaps, %.0f a second\n", static_cast<unsigned long long>(swaps), static_cast<double>(swaps) / seconds);
  EXPECT_EQ(on.machine.in_use().pool_blocks, held[0]) << "each filter's memory is given back when the next is in force";
  EXPECT_EQ(on.machine.in_use().pool_bytes, held[1]);

  uint64_t raised = 0, received[3] = {};
  for (const std::atomic<uint64_t>& each : rounds) raised += each.load();
  for (const auto& record : of_type(reader.finish(), event_type_image_load)) ++received[pid_of(record) / 100 - 7];
  const auto row = filtered_of(reader.control(), event_type_image_load);
  EXPECT_EQ(sim::raised().image_load, 3 * raised);
  EXPECT_EQ(row.account.attempted, 3 * raised);
  EXPECT_EQ(row.account.committed, received[0] + received[1] + received[2]);
  EXPECT_EQ(row.account.committed + row.account.dropped_total() + row.filtered_total(), 3 * raised);
  EXPECT_EQ(row.account.discarded + row.account.open, 0u);
  EXPECT_LE(row.filtered_total(), 2 * raised) << "the third process is never refused";
  EXPECT_EQ(row.filtered[static_cast<uint32_t>(filter_reason::process)], row.filtered_total());
}

// Set, cleared, set: readers meet a slot that was empty a moment ago.
TEST(driver_filter_swap, setting_and_clearing_under_load_leaks_nothing) {
  loaded_machine on({.processors = 2, .service_parameters = {{u"Sluice", u"RegistryOperations", registry_operations_all}}});
  ASSERT_EQ(on.status, STATUS_SUCCESS);
  reading_client reader(on.machine);
  client setter(on.machine);
  set_filter(setter, {.keys = {{u"\\REGISTRY", true}}});
  clear_filter(setter);
  const uint64_t held = on.machine.in_use().pool_blocks;
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> operations{0};
  std::vector<std::thread> producers;
  for (uint32_t i = 0; i < 2; ++i) {
    producers.emplace_back([&, i] {
      sim::activity here(on.machine, i, 700 + 100 * i, 704 + 100 * i);
      while (!stop.load()) {
        sim::registry_set_value({.key = key, .value = u"v"});
        operations.fetch_add(1);
      }
    });
  }
  const auto limit = std::chrono::steady_clock::now() + patience;
  for (int i = 0; (i < 200 || operations.load() < 2000) && std::chrono::steady_clock::now() < limit; ++i) {
    set_filter(setter, {.repeat_types = ~uint64_t{0}, .repeat_window_ms = 1000, .keys = {{u"\\REGISTRY\\MACHINE\\x", true}}});
    clear_filter(setter);
  }
  stop = true;
  for (std::thread& producer : producers) producer.join();
  EXPECT_EQ(on.machine.in_use().pool_blocks, held);
  const size_t received = of_type(reader.finish(), event_type_registry_set_value).size();
  const auto row = filtered_of(reader.control(), event_type_registry_set_value);
  EXPECT_EQ(row.account.attempted, sim::raised().registry_set_value);
  EXPECT_EQ(row.account.committed, received);
  EXPECT_EQ(row.account.discarded + row.account.open, 0u);
}

// A reader that faults or is preempted inside its look holds the former filter, for as long as it takes; who sets the next
// one waits for it, and everybody else goes on with the next one.
TEST(driver_filter_swap, a_filter_outlives_whoever_still_reads_it) {
  loaded_machine on({.processors = 2});
  ASSERT_EQ(on.status, STATUS_SUCCESS);
  client reader(on.machine);
  event_filter& filter = sensor_under_test->events().filter();
  set_filter(reader, {.images = {{u"\\p", true}}});
  std::atomic<bool> answered{false};
  std::thread setter;
  {
    event_decision decision(filter, event_type_image_load);
    ASSERT_TRUE(decision.wants(700));
    setter = std::thread([&] {
      sim::activity here(on.machine, 1, 4, 12);
      clear_filter(reader);
      answered = true;
    });
    const auto limit = std::chrono::steady_clock::now() + patience;
    while (filter.is_set() && std::chrono::steady_clock::now() < limit) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_FALSE(filter.is_set());
    for (int i = 0; i < 20; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_FALSE(answered.load()) << "the memory would be given back under the reader";
    std::thread other([&] {
      sim::activity here(on.machine, 1, 700, 704);
      sim::load_image({.pid = 700, .base = 1, .path = u"\\p"});  // decided by none
    });
    other.join();
    on.starter.migrate(1);  // it leaves on another CPU than it came on
    const char16_t path[] = u"\\p";
    EXPECT_FALSE(decision.keeps_image({path, 4, true, true}, [](key_hash&) {})) << "still the whole of the filter it began with";
  }
  setter.join();
  EXPECT_TRUE(answered.load());
  EXPECT_EQ(of_type(reader.drain(), event_type_image_load).size(), 1u);
  EXPECT_EQ(filtered_because(reader, event_type_image_load, filter_reason::image), 1u);
}

// Processes that start and exit while rules are spread over the tree and replaced.
TEST(driver_filter_swap, descendants_are_right_whatever_starts_while_a_filter_is_set) {
  loaded_machine on({.processors = 2});
  ASSERT_EQ(on.status, STATUS_SUCCESS);
  reading_client reader(on.machine);
  client setter(on.machine);
  const filter_parts parts{.processes = {{500, filter_rule_descendants | filter_rule_exclude}}};
  set_filter(setter, parts);
  std::atomic<bool> stop{false};
  std::atomic<uint32_t> families{0};
  std::vector<std::thread> producers;
  for (uint32_t i = 0; i < 2; ++i) {
    producers.emplace_back([&, i] {
      sim::activity here(on.machine, i, 500, 504 + 4 * i);
      for (uint32_t n = 0; !stop.load(); n = (n + 1) % 50) {
        const uint32_t child = 10000 + 10000 * i + 8 * n, grandchild = child + 4;
        here.become(i, 500, 504 + 4 * i);
        EXPECT_EQ(sim::create_process({.pid = child, .parent_pid = 500}), STATUS_SUCCESS);
        here.become(i, child, child + 2);
        EXPECT_EQ(sim::create_process({.pid = grandchild, .parent_pid = child}), STATUS_SUCCESS);
        EXPECT_EQ(sim::exit_process(child, 0), STATUS_SUCCESS);
        here.become(i, grandchild, grandchild + 2);
        sim::load_image({.pid = grandchild, .base = 1});
        EXPECT_EQ(sim::exit_process(grandchild, 0), STATUS_SUCCESS);
        here.become(i, 600, 604 + 4 * i);
        sim::load_image({.pid = 600, .base = 1});
        families.fetch_add(1);
      }
    });
  }
  const auto limit = std::chrono::steady_clock::now() + patience;
  for (int i = 0; (i < 100 || families.load() < 300) && std::chrono::steady_clock::now() < limit; ++i) set_filter(setter, parts);
  stop = true;
  for (std::thread& producer : producers) producer.join();
  const auto records = reader.finish();
  EXPECT_TRUE(of_type(records, event_type_process_create).empty());
  EXPECT_TRUE(of_type(records, event_type_process_exit).empty());
  for (const received& record : of_type(records, event_type_image_load)) ASSERT_EQ(pid_of(record), 600u);
  const auto row = filtered_of(reader.control(), event_type_image_load);
  EXPECT_EQ(row.filtered_total(), families.load());
  EXPECT_EQ(row.account.committed + row.account.dropped_total(), families.load());
}

}  // namespace
}  // namespace sluice::test
