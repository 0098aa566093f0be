// The registry callback: registered, fallen back, removed under load, accounted for.
#include "tests/kernel_port/driver_registry_support.h"

namespace sluice::test {
namespace {

TEST(registry_producer, the_registration_falls_back_and_says_so) {
  const std::pair<sim::kernel_level, protocol::registration> expected[] = {
      {sim::kernel_level::nt52, protocol::registration::plain},
      {sim::kernel_level::vista, protocol::registration::ex}};
  for (const auto& [level, registration] : expected) {
    loaded_machine on(with({}, level));
    client reader(on.machine);
    EXPECT_EQ(reader.capabilities().registry_registration, registration);
  }
  sim::machine machine(with());
  sim::activity starter(machine, 0, 4, 8);
  machine.fail_call(sim::machine::failure::notify_registration,
                    4);  // process, thread, image, and CmRegisterCallbackEx
  ASSERT_EQ(machine.load_driver("Sluice", &test_driver_entry), STATUS_SUCCESS);
  {
    client reader(machine);
    EXPECT_EQ(reader.capabilities().registry_registration, protocol::registration::plain);
    sim::registry_delete_key({.key = key, .outcome = STATUS_ACCESS_DENIED});
    const auto events = of_type(reader.drain(), event_type_registry_delete_key);
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].as<registry_key_payload>().outcome.status, STATUS_ACCESS_DENIED)
        << "the outcome is a matter of the kernel, not of the registration";
  }
  EXPECT_EQ(machine.unload_driver("Sluice"), STATUS_SUCCESS);
}

TEST(registry_producer, an_altitude_that_is_taken_leads_to_the_one_below) {
  sim::machine machine(with());
  sim::activity starter(machine, 0, 4, 8);
  const other_callback first(u"385230.9", [](REG_NOTIFY_CLASS, void*) { return STATUS_SUCCESS; });
  const other_callback second(u"385230.8", [](REG_NOTIFY_CLASS, void*) { return STATUS_SUCCESS; });
  ASSERT_EQ(machine.load_driver("Sluice", &test_driver_entry), STATUS_SUCCESS);
  {
    client reader(machine);
    EXPECT_EQ(reader.capabilities().registry_registration, protocol::registration::ex);
  }
  EXPECT_EQ(machine.unload_driver("Sluice"), STATUS_SUCCESS);
}

TEST(registry_producer, unloading_between_before_and_after_leaves_nothing) {
  for (const size_t data_bytes : {10u, 3000u}) {  // a slot, and pool
    loaded_machine on(with());
    const std::vector<uint8_t> data(data_bytes);
    std::atomic<bool> inside{false}, may_go_on{false};
    {
      const other_callback holds(below, [&](REG_NOTIFY_CLASS what, void*) {
        if (what == RegNtPreSetValueKey) {
          inside = true;
          eventually([&] { return may_go_on.load(); });
        }
        return STATUS_SUCCESS;
      });
      std::thread setter([&] {
        sim::activity here(on.machine, 1, 700, 704);
        EXPECT_EQ(sim::registry_set_value({.key = key, .value = u"v", .data = data}), STATUS_SUCCESS);
      });
      eventually([&] { return inside.load(); });
      EXPECT_EQ(on.machine.unload_driver("Sluice"), STATUS_SUCCESS);
      EXPECT_EQ(on.machine.in_use().pool_blocks, 0u);
      may_go_on = true;
      setter.join();
    }
    on.status = STATUS_UNSUCCESSFUL;  // unloaded already
  }
}

TEST(registry_producer, what_comes_while_it_starts_is_whole_or_no_event) {
  for (int round = 0; round < 20; ++round) {
    sim::machine machine(with());
    sim::activity starter(machine, 0, 4, 8);
    std::jthread setter([&](const std::stop_token& stop) {
      sim::activity here(machine, 1, 700, 704);
      while (!stop.stop_requested()) sim::registry_set_value({.key = key, .value = u"v", .data = some_data});
    });
    ASSERT_EQ(machine.load_driver("Sluice", &test_driver_entry), STATUS_SUCCESS);
    {
      client reader(machine);
      eventually([&] { return sum_of(reader.statistics(), event_type_registry_set_value).attempted >= 5; });
      setter.request_stop();
      setter.join();
      for (const received& record : of_type(reader.drain(), event_type_registry_set_value)) {
        EXPECT_EQ(record.text(record.as<registry_value_payload>().key_path), key);
      }
    }
    EXPECT_EQ(machine.unload_driver("Sluice"), STATUS_SUCCESS);
  }
}

TEST(registry_producer, it_loads_and_unloads_under_load) {
  for (int round = 0; round < 5; ++round) {
    loaded_machine on(with());
    ASSERT_EQ(on.status, STATUS_SUCCESS);
    std::vector<std::thread> threads;
    std::atomic<bool> stop{false};
    std::atomic<uint32_t> rounds[2] = {};
    for (uint32_t cpu = 0; cpu < 2; ++cpu) {
      threads.emplace_back([&, cpu] {
        sim::activity here(on.machine, cpu, 700, 704 + 4 * cpu);
        const std::vector<uint8_t> data(cpu == 0 ? 10 : 3000);
        for (; !stop.load(); ++rounds[cpu]) {
          sim::registry_create_key({.key = u"Acme", .root = software});
          sim::registry_set_value({.key = key, .value = u"v", .data = data});
          sim::registry_delete_key({.key = key});
        }
      });
    }
    eventually([&] { return rounds[0].load() > 5 && rounds[1].load() > 5; });
    EXPECT_EQ(on.machine.unload_driver("Sluice"), STATUS_SUCCESS);
    on.status = STATUS_UNSUCCESSFUL;
    stop = true;
    for (std::thread& thread : threads) thread.join();
  }
}

TEST(registry_producer, with_tiny_rings_under_perturbed_load_every_event_is_accounted_for) {
  for (const uint64_t seed : {1u, 2u, 3u}) {
    sim::machine_options options = with({{u"Sluice", u"RingBytes", 16 * 1024}});
    options.seed = seed;  // callbacks at APC_LEVEL, threads moved between CPUs
    loaded_machine on(options);
    ASSERT_EQ(on.status, STATUS_SUCCESS);
    client reader(on.machine);
    std::vector<std::thread> threads;
    for (uint32_t cpu = 0; cpu < 2; ++cpu) {
      threads.emplace_back([&, cpu] {
        sim::activity here(on.machine, cpu, 700, 704 + 4 * cpu);
        const std::vector<uint8_t> data(300);
        for (int i = 0; i < 300; ++i) {
          sim::registry_create_key({.key = u"Acme", .root = software});
          sim::registry_set_value({.key = key, .value = u"v", .data = data});
          sim::registry_delete_value({.key = key, .value = u"v"});
          sim::registry_delete_key({.key = key});
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    const auto records = reader.drain();
    const auto rows = reader.statistics();
    const sim::raised_counts raised = sim::raised();
    const std::pair<uint16_t, uint64_t> expected[] = {
        {event_type_registry_create_key, raised.registry_create_key},
        {event_type_registry_set_value, raised.registry_set_value},
        {event_type_registry_delete_key, raised.registry_delete_key},
        {event_type_registry_delete_value, raised.registry_delete_value}};
    uint64_t dropped = 0;
    for (const auto& [type, count] : expected) {
      const account_row sum = sum_of(rows, type);
      EXPECT_EQ(count, 600u);
      EXPECT_EQ(sum.attempted, count) << type;
      EXPECT_TRUE(sum.balances());
      EXPECT_EQ(sum.committed, of_type(records, type).size()) << type;
      dropped += sum.dropped_total();
    }
    EXPECT_GT(dropped, 0u) << "the rings were to overflow";
  }
}

}  // namespace
}  // namespace sluice::test
