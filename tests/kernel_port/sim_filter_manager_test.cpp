// The filter manager: when it is there, what it registers, unloading.
#include "tests/kernel_port/sim_filter_port_support.h"

namespace sluice::sim {
namespace {

struct filter_manager : filter_port_fixture {};

TEST(filter_manager_start, is_later_than_a_boot_driver) {
  port_driver::reset();
  machine system({.filter_manager_started = false});
  EXPECT_EQ(system.load_driver("ports", port_driver::entry), STATUS_FLT_NOT_INITIALIZED);
  system.start_filter_manager();
  EXPECT_EQ(system.load_driver("ports", port_driver::entry), STATUS_SUCCESS);
  EXPECT_EQ(system.unload_driver("ports"), STATUS_SUCCESS);
}

TEST(filter_manager_start, needs_the_instances_that_an_installation_makes) {
  port_driver::reset();
  machine system({.filter_instances_installed = false});
  EXPECT_EQ(system.load_driver("ports", port_driver::entry), STATUS_OBJECT_NAME_NOT_FOUND);
}

TEST(filter_manager_start, takes_its_own_registrations_and_older_ones) {
  port_driver::reset();
  machine system({.level = kernel_level::vista});
  port_driver::registration.Version = FLT_REGISTRATION_VERSION_0203;
  port_driver::registration.Size = FLT_REGISTRATION_SIZE_0203;
  EXPECT_EQ(system.load_driver("ports", port_driver::entry), STATUS_INVALID_PARAMETER);
  port_driver::registration.Version = FLT_REGISTRATION_VERSION_0202;
  EXPECT_EQ(system.load_driver("ports", port_driver::entry), STATUS_INVALID_PARAMETER) << "the size of another version";
  port_driver::registration.Size = FLT_REGISTRATION_SIZE_0202;
  EXPECT_EQ(system.load_driver("ports", port_driver::entry), STATUS_SUCCESS);
  EXPECT_EQ(system.unload_driver("ports"), STATUS_SUCCESS);
}

TEST_F(filter_manager, a_filter_that_does_not_attach_is_on_no_volume) {
  load();
  EXPECT_EQ(system.in_use().filters, 1u);
  EXPECT_EQ(system.in_use().filter_instances, 0u);
  unload();
  EXPECT_EQ(system.in_use().filters, 0u);
}

TEST_F(filter_manager, a_filter_that_says_nothing_of_instances_is_attached) {
  port_driver::registration.InstanceSetupCallback = nullptr;
  load();
  EXPECT_EQ(system.in_use().filter_instances, 1u);
  unload();
}

TEST_F(filter_manager, a_port_needs_a_kernel_handle_a_descriptor_and_room_for_somebody) {
  port_driver::attributes = OBJ_CASE_INSENSITIVE;
  load();
  EXPECT_EQ(port_driver::created, STATUS_INVALID_PARAMETER);
  activity thread(system, 0, 4, 40);
  port_driver::attributes |= OBJ_KERNEL_HANDLE;
  port_driver::with_descriptor = false;
  EXPECT_EQ(port_driver::create_port(), STATUS_INVALID_PARAMETER);
  port_driver::with_descriptor = true;
  port_driver::limit = 0;
  EXPECT_EQ(port_driver::create_port(), STATUS_INVALID_PARAMETER);
  port_driver::limit = 1;
  EXPECT_EQ(port_driver::create_port(), STATUS_SUCCESS);
  PFLT_PORT const first = port_driver::server;
  EXPECT_EQ(port_driver::create_port(), STATUS_OBJECT_NAME_COLLISION);
  port_driver::server = first;
  unload();
}

TEST_F(filter_manager, calls_fail_when_they_are_told_to) {
  system.fail_call(machine::failure::filter_registration, 1);
  EXPECT_EQ(system.load_driver("ports", port_driver::entry), STATUS_INSUFFICIENT_RESOURCES);
  system.fail_call(machine::failure::port_creation, 1);
  load();
  EXPECT_EQ(port_driver::created, STATUS_INSUFFICIENT_RESOURCES);
  unload();
}

TEST_F(filter_manager, a_filter_may_refuse_to_be_unloaded) {
  load();
  port_driver::unload_answer = STATUS_FLT_DO_NOT_DETACH;
  EXPECT_EQ(system.unload_driver("ports"), STATUS_FLT_DO_NOT_DETACH);
  port_driver::unload_answer = STATUS_SUCCESS;
  unload();
}

TEST_F(filter_manager, unregistering_disconnects_who_is_connected) {
  load();
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  pending_message message;
  ASSERT_EQ(port.begin_get(64, message), STATUS_PENDING);
  unload();
  EXPECT_EQ(port_driver::disconnects, 1u);
  EXPECT_EQ(message.wait(long_enough), STATUS_PORT_DISCONNECTED);
  uint64_t bytes = 0;
  std::vector<uint8_t> buffer(64);
  EXPECT_EQ(port.get_message(buffer, bytes), STATUS_INVALID_HANDLE);
  EXPECT_EQ(port.send(buffer, {}, bytes), STATUS_INVALID_HANDLE);
  port.close();
  EXPECT_EQ(port_driver::disconnects, 1u) << "told once";
}

}  // namespace
}  // namespace sluice::sim
