// The filter manager's ports: connect, disconnect, and a process's messages to the driver.
#include <unistd.h>

#include <algorithm>

#include "tests/kernel_port/sim_filter_port_support.h"

namespace sluice::sim {
namespace {

TEST_F(filter_port_test, gives_the_driver_the_context_and_the_process) {
  filter_port port;
  ASSERT_EQ(connect(port, "who I am"), STATUS_SUCCESS);
  EXPECT_EQ(std::string(port_driver::context.begin(), port_driver::context.end()), "who I am");
  EXPECT_EQ(system.in_use().filter_connections, 1u);
  port.close();
  EXPECT_EQ(port_driver::disconnects, 1u);
  EXPECT_EQ(system.in_use().filter_connections, 0u);
}

TEST_F(filter_port_test, is_found_by_its_name_without_case) {
  filter_port port;
  EXPECT_EQ(port.connect(system, u"\\testPORT", {}, pid), STATUS_SUCCESS);
  port.close();
  EXPECT_EQ(port.connect(system, u"\\Other", {}, pid), STATUS_OBJECT_NAME_NOT_FOUND);
  EXPECT_FALSE(port.is_open());
}

TEST_F(filter_port_test, lets_in_root_and_the_owner_only) {
  filter_port port;
  EXPECT_EQ(connect(port, "", pid, geteuid() + 1), STATUS_ACCESS_DENIED);
  EXPECT_EQ(connect(port, "", pid, geteuid()), STATUS_SUCCESS);
  EXPECT_EQ(connect(port, "", pid, 0), STATUS_SUCCESS);
}

TEST_F(filter_port_test, a_refusal_reaches_the_process_and_leaves_nothing) {
  port_driver::connect_answer = STATUS_REVISION_MISMATCH;
  filter_port port;
  EXPECT_EQ(connect(port), STATUS_REVISION_MISMATCH);
  EXPECT_EQ(system.in_use().filter_connections, 0u);
  EXPECT_EQ(port_driver::disconnects, 0u);
}

TEST_F(filter_port_test, has_room_for_so_many_and_no_more) {
  port_driver::connect_answer = STATUS_SUCCESS;
  std::vector<std::unique_ptr<filter_port>> ports;
  std::vector<PFLT_PORT> clients;
  for (LONG i = 0; i < port_driver::limit; ++i) {
    ports.push_back(std::make_unique<filter_port>());
    ASSERT_EQ(connect(*ports.back()), STATUS_SUCCESS);
    clients.push_back(port_driver::client);
  }
  filter_port one_more;
  EXPECT_EQ(connect(one_more), STATUS_CONNECTION_COUNT_LIMIT);
  port_driver::client = clients[0];
  ports[0]->close();
  EXPECT_EQ(connect(one_more), STATUS_SUCCESS);
  one_more.close();
  for (size_t i = 1; i < ports.size(); ++i) {
    port_driver::client = clients[i];
    ports[i]->close();
  }
}

TEST_F(filter_port_test, the_driver_may_close_its_end_first) {
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  pending_message message;
  ASSERT_EQ(port.begin_get(64, message), STATUS_PENDING);
  {
    activity thread(system, 0, 4, 40);
    FltCloseClientPort(port_driver::filter, &port_driver::client);
    EXPECT_EQ(port_driver::client, nullptr);
    FltCloseClientPort(port_driver::filter, &port_driver::client);  // null: nothing to do
  }
  EXPECT_EQ(message.wait(long_enough), STATUS_PORT_DISCONNECTED);
  EXPECT_EQ(port_driver::disconnects, 0u) << "the process still has its handle";
  port.close();
  EXPECT_EQ(port_driver::disconnects, 1u);
}

TEST_F(filter_port_test, the_end_of_a_process_closes_its_handles) {
  filter_port port, other;
  activity thread(system, 0, 4, 40);
  ASSERT_EQ(create_process({.pid = 800, .parent_pid = 4}), STATUS_SUCCESS);
  ASSERT_EQ(connect(port, "", 800), STATUS_SUCCESS);
  pending_message message;
  ASSERT_EQ(port.begin_get(64, message), STATUS_PENDING);
  ASSERT_EQ(exit_process(800, 0), STATUS_SUCCESS);
  EXPECT_EQ(port_driver::disconnects, 1u);
  EXPECT_EQ(system.in_use().filter_connections, 0u);
  EXPECT_EQ(message.wait(long_enough), STATUS_CANCELLED);
  std::vector<uint8_t> buffer(64);
  uint64_t bytes = 0;
  EXPECT_EQ(port.get_message(buffer, bytes), STATUS_INVALID_HANDLE);
}

TEST_F(filter_port_test, without_a_message_callback_a_process_cannot_send) {
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  uint64_t bytes = 0;
  EXPECT_EQ(port.send({}, {}, bytes), STATUS_INVALID_DEVICE_REQUEST);
}

struct port_message : filter_port_fixture {
  port_message() {
    port_driver::on_message = [](PVOID, ULONG, PVOID, ULONG, PULONG) { return STATUS_SUCCESS; };
    load();
    EXPECT_EQ(connect(port), STATUS_SUCCESS);
  }
  ~port_message() override {
    port.close();
    unload();
  }
  filter_port port;
  uint64_t bytes = 0;
};

TEST_F(port_message, goes_to_the_driver_in_the_sender_s_process_and_back) {
  port_driver::on_message = [](PVOID in, ULONG in_bytes, PVOID out, ULONG out_bytes, PULONG returned) {
    EXPECT_EQ(PsGetCurrentProcessId(), id(pid));
    EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    char text[8] = {};
    EXPECT_TRUE(copy_from_user_memory(text, in, in_bytes));
    std::reverse(text, text + in_bytes);
    EXPECT_GE(out_bytes, in_bytes);
    EXPECT_TRUE(copy_to_user_memory(out, text, in_bytes));
    *returned = in_bytes;
    return STATUS_SUCCESS;
  };
  const uint8_t in[] = {1, 2, 3};
  std::vector<uint8_t> out(8);
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(port.send(in, out, bytes), STATUS_SUCCESS);
    ASSERT_EQ(bytes, 3u);
    EXPECT_EQ(out[0], 3);
    EXPECT_EQ(out[2], 1);
  }
}

TEST_F(port_message, may_be_empty_both_ways) {
  port_driver::on_message = [](PVOID in, ULONG in_bytes, PVOID out, ULONG out_bytes, PULONG) {
    EXPECT_EQ(in, nullptr);
    EXPECT_EQ(out, nullptr);
    EXPECT_EQ(in_bytes + out_bytes, 0u);
    return STATUS_NOT_SUPPORTED;
  };
  EXPECT_EQ(port.send({}, {}, bytes), STATUS_NOT_SUPPORTED);
}

TEST_F(port_message, buffers_fault_where_the_process_has_no_memory) {
  port_driver::on_message = [](PVOID in, ULONG in_bytes, PVOID out, ULONG out_bytes, PULONG returned) {
    uint8_t copy[16];
    *returned = 7;
    if (!copy_from_user_memory(copy, in, in_bytes)) return STATUS_ACCESS_VIOLATION;
    if (!copy_to_user_memory(out, copy, out_bytes)) return STATUS_INVALID_PARAMETER;
    return STATUS_SUCCESS;
  };
  user_memory in(16), out(16);
  EXPECT_EQ(port.send(&in, 16, &out, 16, bytes), STATUS_SUCCESS);
  EXPECT_EQ(bytes, 7u);
  out.accessible_up_to(8);
  EXPECT_EQ(port.send(&in, 16, &out, 16, bytes), STATUS_INVALID_PARAMETER);
  EXPECT_EQ(bytes, 0u) << "nothing is returned with an error";
  in.accessible_up_to(0);
  EXPECT_EQ(port.send(&in, 16, &out, 16, bytes), STATUS_ACCESS_VIOLATION);
}

}  // namespace
}  // namespace sluice::sim
