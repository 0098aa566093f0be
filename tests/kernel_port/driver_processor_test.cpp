// CPUs that are added while the driver runs: rings before anything runs there, no stop, nothing lost, nothing out of order.
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "consumers/device_source.h"
#include "consumers/nt/simulated_system.h"
#include "consumers/event_stream.h"
#include "tests/kernel_port/driver_test_support.h"

namespace sluice::test {
namespace {

constexpr auto patience = std::chrono::seconds(60);

// Small rings: 64 CPUs with the usual ones would take 68 MiB.
std::vector<sim::service_parameter> rings_of_64_kib() {
  return {{u"Sluice", u"RingBytes", 65536}, {u"Sluice", u"SpareRingBytes", 16384}};
}

TEST(driver_processors, a_cpu_that_is_added_has_its_rings_and_its_account) {
  loaded_machine on({.processors = 2, .maximum_processors = 3});
  client reader(on.machine);
  (void)reader.drain();
  const uint64_t before = on.machine.in_use().pool_blocks;
  ASSERT_EQ(on.machine.add_processor(), STATUS_SUCCESS);
  EXPECT_EQ(on.machine.in_use().pool_blocks, before + lanes_per_cpu) << "rings exist for CPUs that exist";
  on.starter.migrate(2);
  sim::load_image({.base = 1});
  const auto loads = of_type(reader.drain(), event_type_image_load);
  ASSERT_EQ(loads.size(), 1u);
  EXPECT_EQ(loads[0].cpu, 2);
  bool counted = false;
  for (const protocol::statistics_row& row : reader.statistics()) {
    if (row.cpu == 2 && row.type == event_type_image_load) counted = row.account.committed == 1;
  }
  EXPECT_TRUE(counted);
  on.starter.migrate(0);
}

// Without rings events would be lost that no account could tell of. So such a CPU does not come.
TEST(driver_processors, without_memory_for_its_rings_a_cpu_is_refused_and_can_come_later) {
  loaded_machine on({.processors = 1, .maximum_processors = 2});
  const uint64_t before = on.machine.in_use().pool_blocks;
  for (uint64_t nth = 1; nth <= lanes_per_cpu; ++nth) {
    on.machine.fail_call(sim::machine::failure::pool_allocation, nth);
    EXPECT_EQ(on.machine.add_processor(), STATUS_INSUFFICIENT_RESOURCES);
    EXPECT_EQ(on.machine.processors(), 1u);
  }
  on.machine.fail_call(sim::machine::failure::pool_allocation, 0);
  client reader(on.machine);
  sim::load_image({.base = 1});
  EXPECT_EQ(of_type(reader.drain(), event_type_image_load).size(), 1u);
  ASSERT_EQ(on.machine.add_processor(), STATUS_SUCCESS);
  EXPECT_EQ(on.machine.in_use().pool_blocks, before + lanes_per_cpu) << "what an attempt had got is used by the next";
  on.starter.migrate(1);
  sim::load_image({.base = 2});
  EXPECT_EQ(of_type(reader.drain(), event_type_image_load).size(), 1u);
  on.starter.migrate(0);
}

// NT 5.2: no processor groups, none added, and the old functions only. The events of both CPUs arrive, and their statistics are collected on
// both.
TEST(driver_processors, a_kernel_without_groups_is_asked_by_its_own_functions) {
  loaded_machine on({.processors = 2, .maximum_processors = 3, .level = sim::kernel_level::nt52});
  EXPECT_EQ(maximum_processors(), 2u);
  EXPECT_EQ(on.machine.add_processor(), STATUS_NOT_SUPPORTED);
  client reader(on.machine);
  (void)reader.drain();
  for (uint32_t cpu = 0; cpu < 2; ++cpu) {
    on.starter.migrate(cpu);
    sim::load_image({.base = cpu + 1});
  }
  const auto images = of_type(reader.drain(), event_type_image_load);
  ASSERT_EQ(images.size(), 2u);
  EXPECT_NE(images[0].cpu, images[1].cpu);
  (void)reader.statistics();
  KDPC dpc;
  KeInitializeDpc(&dpc, [](PKDPC, PVOID, PVOID, PVOID) {}, nullptr);
  EXPECT_TRUE(set_target_processor(dpc, 1));
  EXPECT_FALSE(set_target_processor(dpc, 2)) << "nothing runs there";
  on.starter.migrate(0);
}

// Vista: no groups yet, but processors that are added, and counted before they come.
TEST(driver_processors, a_kernel_that_adds_cpus_and_has_no_groups_has_its_own_way_to_count_them) {
  loaded_machine on({.processors = 1, .maximum_processors = 3, .level = sim::kernel_level::vista});
  EXPECT_EQ(maximum_processors(), 3u);
  client reader(on.machine);
  (void)reader.drain();
  ASSERT_EQ(on.machine.add_processor(), STATUS_SUCCESS);
  (void)reader.statistics();
  on.starter.migrate(1);
  sim::load_image({.base = 1});
  EXPECT_EQ(of_type(reader.drain(), event_type_image_load).size(), 1u);
  on.starter.migrate(0);
}

TEST(driver_processors, every_failing_allocation_of_a_load_on_a_growing_machine_leaves_nothing) {
  for (uint64_t nth = 1; nth < 1000; ++nth) {
    sim::machine machine({.processors = 2, .maximum_processors = 4});
    const sim::activity starter(machine, 0, 4, 8);
    machine.fail_call(sim::machine::failure::pool_allocation, nth);
    const NTSTATUS status = machine.load_driver("Sluice", &test_driver_entry);
    machine.fail_call(sim::machine::failure::pool_allocation, 0);
    if (NT_SUCCESS(status)) {
      EXPECT_EQ(machine.add_processor(), STATUS_SUCCESS);
      EXPECT_EQ(machine.unload_driver("Sluice"), STATUS_SUCCESS);
    }
    EXPECT_EQ(machine.in_use().pool_blocks, 0u);
    EXPECT_EQ(machine.in_use().callbacks, 0u);
    if (NT_SUCCESS(status) && nth > 20) return;
  }
}

// From 2 CPUs to 64 while all that are there write and a reader reads: M1, R3 and R4 for every one of them.
TEST(driver_processors, cpus_come_under_load) {
  constexpr uint32_t first = 2;
  constexpr uint32_t most = 64;
  constexpr uint32_t writers_at_once = 4;
  constexpr uint64_t events_each = 100;
  loaded_machine on({.processors = first, .maximum_processors = most, .service_parameters = rings_of_64_kib()});
  device_source source(simulated_system(on.machine, client::pid));
  event_stream stream(source);
  const sim::raised_counts raised_before = sim::raised();

  // Each new CPU gets a writer that starts as soon as the CPU runs; a few write at a time, on CPUs old and new.
  std::atomic<uint32_t> next_cpu{0};
  std::atomic<uint32_t> running{first};
  std::atomic<bool> failed{false};
  std::vector<std::thread> writers;
  for (uint32_t i = 0; i < writers_at_once; ++i) {
    writers.emplace_back([&, i] {
      for (;;) {
        const uint32_t cpu = next_cpu.fetch_add(1);
        if (cpu >= most || failed.load()) return;
        while (running.load() <= cpu && !failed.load()) std::this_thread::yield();
        if (failed.load()) return;
        const sim::activity as(on.machine, cpu, 100 + i, 200 + i);
        for (uint64_t event = 1; event <= events_each; ++event) {
          sim::load_image({.pid = cpu, .base = event});
          if (event % 16 == 0) std::this_thread::yield();
        }
      }
    });
  }
  std::thread adder([&] {
    while (running.load() < most) {
      if (on.machine.add_processor() != STATUS_SUCCESS) {
        failed = true;
        return;
      }
      running = on.machine.processors();
      std::this_thread::yield();
    }
  });

  std::vector<uint64_t> last_of(most);
  uint64_t last_time = 0;
  const auto take = [&](const decoded_event& event) {
    if (!event.late) {
      EXPECT_GE(event.time, last_time);
      last_time = event.time;
    }
    const auto* load = std::get_if<image_load_event>(&event.body);
    if (load == nullptr) return;
    ASSERT_LT(*load->pid, most);
    EXPECT_EQ(event.identity.cpu, *load->pid);
    EXPECT_GT(*load->base, last_of[*load->pid]);
    last_of[*load->pid] = *load->base;
  };
  const auto read_some = [&] {
    source.flush();
    const decoded_event* event = stream.next(patience);
    if (event != nullptr) take(*event);
    while ((event = stream.next(std::chrono::nanoseconds(0))) != nullptr) take(*event);
  };
  while (running.load() < most && !failed.load()) read_some();
  adder.join();
  for (std::thread& writer : writers) {
    // The writers never wait for the reader; what their rings cannot hold is announced.
    writer.join();
    read_some();
  }
  ASSERT_FALSE(failed.load());
  driver_statistics told;
  eventually([&] {
    read_some();
    told = source.statistics();
    return stream.account().drained(told);
  });
  raised_callbacks raised;
  raised.by_type[event_type_image_load] = sim::raised().image_load - raised_before.image_load;
  raised.always_on = uint64_t{1} << event_type_image_load;
  EXPECT_EQ(raised.by_type[event_type_image_load], most * events_each);
  EXPECT_EQ(stream.account().check(told, &raised), std::vector<std::string>());
  uint32_t cpus = 0;
  for (const protocol::statistics_row& row : told.rows) cpus += row.type == event_type_image_load;
  EXPECT_EQ(cpus, most) << "each CPU has its account";
}

}  // namespace
}  // namespace sluice::test
