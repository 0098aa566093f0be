// What the filter manager does not forgive.
#include "tests/kernel_port/sim_filter_port_support.h"

namespace sluice::sim {
namespace {

struct filter_port_death_test : filter_port_fixture {
  // To a driver that is loaded for it.
  void send_nothing() {
    load();
    filter_port port;
    connect(port);
    uint64_t bytes = 0;
    port.send({}, {}, bytes);
  }
};

TEST_F(filter_port_death_test, a_message_is_sent_at_apc_level_at_most) {
  EXPECT_DEATH(
      {
        load();
        activity thread(system, 0, 4, 40);
        KIRQL irql;
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        port_driver::send("x", LARGE_INTEGER{});
      },
      "STOP: 0x000000C4 \\(0x0+E5, .*\n.*\n.*FltSendMessage");
}

TEST_F(filter_port_death_test, a_descriptor_is_built_at_passive_level) {
  EXPECT_DEATH(
      {
        activity thread(system, 0, 4, 40);
        KIRQL irql;
        KeRaiseIrql(APC_LEVEL, &irql);
        PSECURITY_DESCRIPTOR descriptor;
        FltBuildDefaultSecurityDescriptor(&descriptor, FLT_PORT_ALL_ACCESS);
      },
      "STOP: 0x000000C4 \\(0x0+E5, ");
}

TEST_F(filter_port_death_test, the_server_port_is_closed_before_the_filter_is_unregistered) {
  EXPECT_DEATH(
      {
        port_driver::closes_server_port = false;
        load();
        system.unload_driver("ports");
      },
      "STOP: 0x000000C4 \\(0x0+1000, .*\n.*\n.*server port open");
}

TEST_F(filter_port_death_test, the_disconnect_callback_closes_the_client_port) {
  EXPECT_DEATH(
      {
        port_driver::closes_client_port = false;
        load();
        filter_port port;
        connect(port);
        port.close();
        system.unload_driver("ports");
      },
      "STOP: 0x000000C4 \\(0x0+1000, .*\n.*\n.*client port");
}

TEST_F(filter_port_death_test, a_filter_left_at_unload) {
  EXPECT_BUG_CHECK_SAYING(
      {
        port_driver::unregisters = false;
        load();
        system.unload_driver("ports");
      },
      "DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS", "a filter that is still registered");
}

TEST_F(filter_port_death_test, a_filter_left_by_a_driver_that_failed_to_load) {
  EXPECT_BUG_CHECK_SAYING(
      {
        system.load_driver("ports", [](PDRIVER_OBJECT driver, PUNICODE_STRING path) {
          (void)port_driver::entry(driver, path);
          return STATUS_UNSUCCESSFUL;
        });
      },
      "DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS", "failed to load with a filter");
}

TEST_F(filter_port_death_test, a_filter_unregistered_from_inside_its_callback) {
  EXPECT_DEATH(
      {
        port_driver::on_message = [](PVOID, ULONG, PVOID, ULONG, PULONG) {
          FltCloseCommunicationPort(port_driver::server);
          FltUnregisterFilter(port_driver::filter);
          return STATUS_SUCCESS;
        };
        send_nothing();
      },
      "STOP: 0x000000C4 \\(0x0+1000, .*\n.*\n.*inside a callback");
}

TEST_F(filter_port_death_test, a_port_closed_twice) {
  EXPECT_DEATH(
      {
        load();
        activity thread(system, 0, 4, 40);
        FltCloseCommunicationPort(port_driver::server);
        FltCloseCommunicationPort(port_driver::server);
      },
      "STOP: 0x000000C4 \\(0x0+E1, ");
}

TEST_F(filter_port_death_test, a_client_port_used_after_it_was_closed) {
  EXPECT_DEATH(
      {
        load();
        filter_port port;
        connect(port);
        activity thread(system, 0, 4, 40);
        PFLT_PORT kept = port_driver::client;
        FltCloseClientPort(port_driver::filter, &port_driver::client);
        LARGE_INTEGER now{};
        char text = 'x';
        FltSendMessage(port_driver::filter, &kept, &text, 1, nullptr, nullptr, &now);
      },
      "STOP: 0x000000C4 \\(0x0+E1, .*\n.*\n.*FltSendMessage");
}

TEST_F(filter_port_death_test, a_descriptor_freed_twice) {
  EXPECT_BUG_CHECK(
      {
        activity thread(system, 0, 4, 40);
        PSECURITY_DESCRIPTOR descriptor;
        FltBuildDefaultSecurityDescriptor(&descriptor, FLT_PORT_ALL_ACCESS);
        FltFreeSecurityDescriptor(descriptor);
        FltFreeSecurityDescriptor(descriptor);
      },
      "BAD_POOL_CALLER");
}

TEST_F(filter_port_death_test, more_returned_than_there_is_room_for) {
  EXPECT_BUG_CHECK_SAYING(
      {
        port_driver::on_message = [](PVOID, ULONG, PVOID, ULONG, PULONG returned) {
          *returned = 1;
          return STATUS_SUCCESS;
        };
        send_nothing();
      },
      "DRIVER_VERIFIER_DETECTED_VIOLATION", "returned 1 bytes in a buffer of 0");
}

TEST_F(filter_port_death_test, memory_of_a_process_touched_without_a_guard) {
  EXPECT_BUG_CHECK(
      {
        port_driver::on_message = [](PVOID in, ULONG, PVOID, ULONG, PULONG) {
          return static_cast<NTSTATUS>(*static_cast<volatile uint8_t*>(in));
        };
        load();
        filter_port port;
        connect(port);
        uint64_t bytes = 0;
        const uint8_t in[4] = {};
        port.send(in, {}, bytes);
      },
      "SYSTEM_SERVICE_EXCEPTION");
}

TEST_F(filter_port_death_test, a_callback_that_returns_at_another_irql) {
  EXPECT_BUG_CHECK_SAYING(
      {
        port_driver::on_message = [](PVOID, ULONG, PVOID, ULONG, PULONG) {
          KIRQL irql;
          KeRaiseIrql(APC_LEVEL, &irql);
          return STATUS_SUCCESS;
        };
        send_nothing();
      },
      "IRQL_UNEXPECTED_VALUE", "A message callback");
}

}  // namespace
}  // namespace sluice::sim
