// Loading, falling back, failing and unloading.
#include <unistd.h>

#include "tests/kernel_port/driver_test_support.h"

namespace sluice::test {
namespace {

TEST(driver_load, an_unload_leaves_nothing) { loaded_machine on; EXPECT_EQ(on.status, STATUS_SUCCESS); }

TEST(driver_load, the_best_registration_of_each_kernel_is_used) {
  const std::pair<sim::kernel_level, protocol::registration> expected[] = {
      {sim::kernel_level::nt52, protocol::registration::plain},
      {sim::kernel_level::vista, protocol::registration::ex},
      {sim::kernel_level::windows10, protocol::registration::ex2}};
  for (const auto& [level, registration] : expected) {
    loaded_machine on({.level = level});
    ASSERT_EQ(on.status, STATUS_SUCCESS);
    client reader(on.machine);
    EXPECT_EQ(reader.capabilities().process_registration, registration);
    EXPECT_EQ(reader.capabilities().image_registration,
              level == sim::kernel_level::windows10 ? protocol::registration::ex : protocol::registration::plain);
  }
}

TEST(driver_load, an_image_without_forced_integrity_falls_back_to_the_plain_routine) {
  loaded_machine on({.integrity_checked_images = false});
  ASSERT_EQ(on.status, STATUS_SUCCESS);
  client reader(on.machine);
  EXPECT_EQ(reader.capabilities().process_registration, protocol::registration::plain);
  sim::process_creation creation;
  creation.pid = 1000;
  creation.parent_pid = 500;
  creation.image_path = u"\\x.exe";
  ASSERT_EQ(sim::create_process(creation), STATUS_SUCCESS);
  ASSERT_EQ(sim::exit_process(1000, 3), STATUS_SUCCESS);
  const auto records = reader.drain();
  const auto creates = of_type(records, event_type_process_create);
  const auto exits = of_type(records, event_type_process_exit);
  ASSERT_EQ(creates.size(), 1u);
  ASSERT_EQ(exits.size(), 1u);
  const auto payload = creates[0].as<process_create_payload>();
  EXPECT_NE(payload.flags & process_flag_no_details, 0u);
  EXPECT_EQ(payload.pid, 1000u);
  EXPECT_EQ(payload.parent_pid, 500u);
  EXPECT_EQ(payload.image_path.flags, string_flag_unavailable);
  EXPECT_EQ(exits[0].as<process_exit_payload>().exit_status, 3);
}

TEST(driver_load, options_come_from_the_registry) {
  loaded_machine on({.service_parameters = {{u"Sluice", u"RingBytes", 64 * 1024}}});
  ASSERT_EQ(on.status, STATUS_SUCCESS);
  client reader(on.machine);
  EXPECT_EQ(reader.capabilities().ring_bytes, 64u * 1024);
}

TEST(driver_load, options_that_contradict_each_other_fail_the_start) {
  for (const uint32_t bad : {0u, 4095u, 65537u}) {
    loaded_machine on({.service_parameters = {{u"Sluice", u"RingBytes", bad}}});
    EXPECT_EQ(on.status, STATUS_INVALID_PARAMETER) << bad;
  }
}

// What was configured and cannot be had is no default: the driver says so, and does not run by other options.
TEST(driver_load, an_option_that_is_no_number_fails_the_start) {
  for (const size_t bytes : {size_t{2}, size_t{8}, size_t{100}}) {
    sim::machine machine({.service_parameters = {{u"Sluice", u"RingBytes", 64 * 1024}}});
    sim::activity starter(machine, 0, 4, 8);
    const std::vector<uint8_t> text(bytes, 'x');
    ASSERT_EQ(sim::registry_set_value({.key = u"\\REGISTRY\\MACHINE\\SYSTEM\\CurrentControlSet\\Services\\Sluice\\Parameters",
                                       .value = u"MarginMicroseconds",
                                       .type = REG_SZ,
                                       .data = text}),
              STATUS_SUCCESS);
    EXPECT_EQ(machine.load_driver("Sluice", &test_driver_entry), STATUS_OBJECT_TYPE_MISMATCH) << bytes;
  }
}

// Every call that can fail, at each of its occurrences: what the kernel answered comes back, and nothing is left behind.
TEST(driver_load, a_failure_at_any_step_leaves_nothing_and_gives_its_own_status) {
  using failure = sim::machine::failure;
  const std::pair<failure, NTSTATUS> calls[] = {{failure::pool_allocation, STATUS_INSUFFICIENT_RESOURCES},
                                                {failure::thread_creation, STATUS_QUOTA_EXCEEDED},
                                                {failure::notify_registration, STATUS_INVALID_PARAMETER},
                                                {failure::device_creation, STATUS_OBJECT_NAME_COLLISION},
                                                {failure::security_change, STATUS_ACCESS_DENIED},
                                                {failure::symbolic_link, STATUS_OBJECT_PATH_NOT_FOUND},
                                                {failure::callback_registration, STATUS_INSUFFICIENT_RESOURCES}};
  for (const auto& [kind, given] : calls) {
    uint32_t failures = 0;
    for (uint64_t nth = 1;; ++nth) {
      sim::machine machine;
      sim::activity starter(machine, 0, 4, 8);
      machine.fail_call(kind, nth, given);
      const NTSTATUS status = machine.load_driver("Sluice", &test_driver_entry);
      machine.fail_call(kind, 0);
      if (NT_SUCCESS(status)) {
        EXPECT_EQ(machine.unload_driver("Sluice"), STATUS_SUCCESS);
        break;
      }
      ++failures;
      ASSERT_LT(nth, 200u);
      EXPECT_EQ(status, given) << nth;
      const sim::machine::usage left = machine.in_use();
      EXPECT_EQ(left.pool_blocks, 0u) << nth;
      EXPECT_EQ(left.notify_routines, 0u) << nth;
      EXPECT_EQ(left.callbacks, 0u) << nth;
      EXPECT_EQ(left.devices, 0u) << nth;
      EXPECT_EQ(left.symbolic_links, 0u) << nth;
      EXPECT_EQ(left.system_threads, 0u) << nth;
    }
    EXPECT_GE(failures, 1u) << static_cast<int>(kind);
  }
}

sensor* second_sensor = nullptr;

NTSTATUS second_driver_entry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path) {
  driver->DriverUnload = [](PDRIVER_OBJECT) { sensor::destroy(second_sensor); };
  return sensor::create(driver, registry_path, second_sensor);
}

TEST(driver_load, a_second_instance_is_refused_and_leaves_the_first_as_it_was) {
  loaded_machine on;
  ASSERT_EQ(on.status, STATUS_SUCCESS);
  const sim::machine::usage before = on.machine.in_use();
  EXPECT_EQ(on.machine.load_driver("Second", &second_driver_entry), STATUS_OBJECT_NAME_COLLISION);
  EXPECT_EQ(second_sensor, nullptr);
  const sim::machine::usage after = on.machine.in_use();
  EXPECT_EQ(after.pool_blocks, before.pool_blocks);
  EXPECT_EQ(after.notify_routines, before.notify_routines);
  EXPECT_EQ(after.devices, before.devices);
  EXPECT_EQ(after.symbolic_links, before.symbolic_links);
  EXPECT_EQ(after.system_threads, before.system_threads);
  client reader(on.machine);
  sim::load_image({.base = 1});
  EXPECT_EQ(of_type(reader.drain(), event_type_image_load).size(), 1u);
}

TEST(driver_load, only_the_system_and_administrators_open_the_device) {
  loaded_machine on;
  constexpr uint32_t stranger = 54321;
  for (const uint32_t user : {uint32_t{0}, static_cast<uint32_t>(geteuid()), stranger}) {
    sim::file file;
    EXPECT_EQ(file.open(on.machine, u"Sluice", 500, user), user == stranger ? STATUS_ACCESS_DENIED : STATUS_SUCCESS) << user;
    sim::file below;
    EXPECT_EQ(below.open(on.machine, u"Sluice\\name", 500, user), user == stranger ? STATUS_ACCESS_DENIED : STATUS_SUCCESS) << user;
  }
}

// Each of the functions that not every kernel has, in turn: the driver loads, says what it has got, delivers, and goes.
TEST(driver_load, a_kernel_without_one_of_the_optional_functions_is_served) {
  using enum protocol::registration;
  struct lack {
    const char16_t* name;
    protocol::registration process = ex2, image = ex, registry = ex;
  };
  const lack lacks[] = {{u"PsSetCreateProcessNotifyRoutineEx2", ex},
                        {u"PsSetCreateProcessNotifyRoutineEx"},
                        {u"PsSetLoadImageNotifyRoutineEx", ex2, plain},
                        {u"PsGetProcessStartKey"},
                        {u"KeQuerySystemTimePrecise"},
                        {u"CmRegisterCallbackEx", ex2, ex, plain},
                        {u"CmCallbackGetKeyObjectID"},
                        {u"CmCallbackGetKeyObjectIDEx"},
                        {u"CmCallbackReleaseKeyObjectIDEx"},
                        {u"KeRegisterProcessorChangeCallback"},
                        {u"KeDeregisterProcessorChangeCallback"},
                        {u"ExAllocatePool2"},
                        {u"KeGetCurrentProcessorNumberEx"},
                        {u"KeQueryMaximumProcessorCountEx"},
                        {u"KeQueryActiveProcessorCountEx"},
                        {u"KeGetProcessorNumberFromIndex"},
                        {u"KeSetTargetProcessorDpcEx"},
                        {u"KeQueryMaximumProcessorCount"}};
  for (const lack& each : lacks) {
    SCOPED_TRACE(std::string(each.name, each.name + std::char_traits<char16_t>::length(each.name)));
    loaded_machine on({.missing_routines = {each.name}});
    ASSERT_EQ(on.status, STATUS_SUCCESS);
    client reader(on.machine);
    const protocol::capabilities has = reader.capabilities();
    EXPECT_EQ(has.process_registration, each.process);
    EXPECT_EQ(has.image_registration, each.image);
    EXPECT_EQ(has.registry_registration, each.registry);
    EXPECT_EQ(has.thread_registration, plain);
    EXPECT_EQ(has.cpu_count, 2u);
    (void)reader.drain();
    {
      sim::process_creation creation;
      creation.pid = 1000;
      creation.parent_pid = 500;
      ASSERT_EQ(sim::create_process(creation), STATUS_SUCCESS);
      sim::load_image({.pid = 1000, .base = 1});
      ASSERT_EQ(sim::exit_process(1000, 3), STATUS_SUCCESS);
    }
    const auto records = reader.drain();
    EXPECT_EQ(of_type(records, event_type_process_create).size(), 1u);
    EXPECT_EQ(of_type(records, event_type_image_load).size(), 1u);
    EXPECT_EQ(of_type(records, event_type_process_exit).size(), 1u);
    EXPECT_EQ(sum_of(reader.statistics(), event_type_image_load).committed, 1u);
  }
}

TEST(driver_load, it_loads_and_unloads_under_load) {
  for (int round = 0; round < 5; ++round) {
    loaded_machine on;
    ASSERT_EQ(on.status, STATUS_SUCCESS);
    std::vector<std::thread> producers;
    std::atomic<bool> stop{false};
    std::atomic<uint32_t> raised[2] = {};
    for (uint32_t cpu = 0; cpu < 2; ++cpu) {
      producers.emplace_back([&, cpu] {
        sim::activity here(on.machine, cpu, 700, 704 + 4 * cpu);
        for (; !stop.load(); ++raised[cpu]) sim::load_image({.base = cpu});
      });
    }
    eventually([&] { return raised[0].load() > 20 && raised[1].load() > 20; });
    EXPECT_EQ(on.machine.unload_driver("Sluice"), STATUS_SUCCESS);
    on.status = STATUS_UNSUCCESSFUL;  // unloaded already
    stop = true;
    for (std::thread& producer : producers) producer.join();
  }
}

}  // namespace
}  // namespace sluice::test
