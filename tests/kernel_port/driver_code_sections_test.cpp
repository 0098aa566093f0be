// A driver's life with its code sections as an NT kernel treats them (kernel_port/sim/pageable_code.h): PAGE is gone at DISPATCH_LEVEL, INIT
// is gone once DriverEntry has returned. What breaks a rule stops the run.
#include "consumers/nt/simulated_system.h"
#include "tests/kernel_port/driver_port_support.h"
#include "tests/kernel_port/driver_test_support.h"

namespace sluice::test {
namespace {

sim::machine_options checked() {
  sim::machine_options options;
  options.check_code_sections = true;
  return options;
}

uint64_t planted = 0;
__attribute__((section("PAGE"), noinline)) void pageable_function() { planted = planted + 1; }
__attribute__((section("PAGE"), noinline)) void pageable_function_that_raises() {
  const dispatch_section section;
  planted = planted + section.cpu();
}
__attribute__((section("INIT"), noinline)) void function_of_init() { planted = planted + 1; }

TEST(driver_code_sections, pageable_code_runs_below_dispatch_level_however_often_it_was_paged_out) {
  loaded_machine on(checked());
  const uint64_t before = planted;
  for (int round = 0; round < 10; ++round) {
    { const dispatch_section section; }
    pageable_function();
  }
  EXPECT_EQ(planted, before + 10);
}

TEST(driver_code_sections, the_driver_loads_serves_its_clients_and_unloads) {
  for (int round = 0; round < 2; ++round) {
    loaded_machine on(checked());
    ASSERT_EQ(on.status, STATUS_SUCCESS);
    client reader(on.machine);
    uint16_t type = 0;
    ASSERT_EQ(sensor_under_test->types().register_type(sample_type, type), STATUS_SUCCESS);
    {
      const dispatch_section section;
      const sample_event event{1};
      EXPECT_EQ(sensor_under_test->events().write(section, type, 1, &event, sizeof event), reserve_status::ok);
    }
    sim::process_creation creation;
    creation.pid = 1000;
    creation.parent_pid = 500;
    creation.image_path = u"\\x.exe";
    ASSERT_EQ(sim::create_process(creation), STATUS_SUCCESS);
    sim::load_image({.pid = 1000, .base = 1, .path = u"\\x.dll"});
    ASSERT_EQ(sim::exit_process(1000, 0), STATUS_SUCCESS);
    const auto records = reader.drain();
    EXPECT_EQ(of_type(records, type).size(), 1u);
    EXPECT_EQ(of_type(records, event_type_process_create).size(), 1u);
    EXPECT_EQ(sum_of(reader.statistics(), type).committed, 1u);
    (void)reader.capabilities();
    EXPECT_EQ(reader.set_types(~uint64_t{0}), STATUS_NOT_SUPPORTED);
    uint64_t bytes = 0;
    filter_answer answer{};
    EXPECT_EQ(reader.file.control(protocol::code_clear_filter, {}, {reinterpret_cast<uint8_t*>(&answer), sizeof answer}, bytes),
              STATUS_SUCCESS);
    port_client connected(on.machine);
    sim::load_image({.base = 2});
    EXPECT_EQ(of_type(connected.drain(), event_type_image_load).size(), 1u);
  }
}

TEST(driver_code_sections, a_processor_is_added) {
  sim::machine_options options = checked();
  options.maximum_processors = 3;
  loaded_machine on(options);
  ASSERT_EQ(on.machine.add_processor(), STATUS_SUCCESS);
  client reader(on.machine);
  (void)reader.drain();
}

using driver_code_sections_death_test = testing::Test;

TEST(driver_code_sections_death_test, pageable_code_at_dispatch_level_is_a_bug_check) {
  EXPECT_DEATH(
      {
        sim::machine machine(checked());
        sim::activity here(machine, 0, 4, 8);
        const dispatch_section section;
        pageable_function();
      },
      "DRIVER_IRQL_NOT_LESS_OR_EQUAL\n.*Pageable code ran at IRQL 2");
}

TEST(driver_code_sections_death_test, pageable_code_that_raises_the_level_itself_is_a_bug_check) {
  EXPECT_DEATH(
      {
        sim::machine machine(checked());
        sim::activity here(machine, 0, 4, 8);
        pageable_function_that_raises();
      },
      "DRIVER_IRQL_NOT_LESS_OR_EQUAL\n.*Pageable code ran at IRQL 2");
}

TEST(driver_code_sections_death_test, code_of_init_after_driver_entry_is_a_bug_check) {
  EXPECT_DEATH(
      {
        loaded_machine on(checked());
        function_of_init();
      },
      "PAGE_FAULT_IN_NONPAGED_AREA\n.*Code of the section INIT ran");
}

}  // namespace
}  // namespace sluice::test
