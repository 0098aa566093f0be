// The filter manager's ports: connect, messages both ways, timeouts, disconnect.
#include <unistd.h>

#include "tests/kernel_port/sim_filter_port_support.h"

namespace sluice::sim {
namespace {

struct filter_manager : filter_port_fixture {};

struct filter_port_test : filter_port_fixture {
  filter_port_test() {
    load();
    EXPECT_EQ(port_driver::created, STATUS_SUCCESS);
  }
  ~filter_port_test() override { unload(); }
};

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

TEST_F(filter_port_test, a_message_waits_for_its_getter_and_the_sender_with_it) {
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  std::atomic<bool> returned{false};
  sending_thread sender(system, port, [&] {
    EXPECT_EQ(port_driver::send("hello"), STATUS_SUCCESS);
    returned = true;
  });
  EXPECT_FALSE(returned) << "nobody has asked yet";
  std::vector<uint8_t> buffer(64);
  uint64_t bytes = 0;
  ASSERT_EQ(port.get_message(buffer, bytes, long_enough), STATUS_SUCCESS);
  sender.join();
  EXPECT_EQ(text_of({buffer.data(), bytes}), "hello");
  EXPECT_EQ(header_of(buffer).reply_length, 0u);
}

TEST_F(filter_port_test, a_pending_get_takes_the_message_at_once) {
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  pending_message first, second;
  ASSERT_EQ(port.begin_get(64, first), STATUS_PENDING);
  ASSERT_EQ(port.begin_get(64, second), STATUS_PENDING);
  EXPECT_FALSE(first.is_done());
  activity thread(system, 0, 4, 40);
  EXPECT_EQ(port_driver::send("one", LARGE_INTEGER{}), STATUS_SUCCESS) << "a timeout of 0 is enough";
  EXPECT_TRUE(first.is_done());
  EXPECT_FALSE(second.is_done());
  EXPECT_EQ(port_driver::send("two", LARGE_INTEGER{}), STATUS_SUCCESS);
  EXPECT_EQ(text_of(first.message()), "one");
  EXPECT_EQ(text_of(second.message()), "two");
  EXPECT_LT(header_of(first.message()).message_id, header_of(second.message()).message_id);
  EXPECT_EQ(port_driver::send("three", LARGE_INTEGER{}), STATUS_TIMEOUT);
}

TEST_F(filter_port_test, a_message_that_nobody_takes_in_time_was_not_sent) {
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  {
    activity thread(system, 0, 4, 40);
    const NTSTATUS status = port_driver::send("lost", milliseconds(2));
    EXPECT_EQ(status, STATUS_TIMEOUT);
    EXPECT_TRUE(NT_SUCCESS(status)) << "beware";
  }
  std::vector<uint8_t> buffer(64);
  uint64_t bytes = 0;
  EXPECT_EQ(port.get_message(buffer, bytes, std::chrono::milliseconds(2)), STATUS_TIMEOUT);
}

TEST_F(filter_port_test, a_get_that_timed_out_is_no_longer_there) {
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  std::vector<uint8_t> buffer(64);
  uint64_t bytes = 0;
  EXPECT_EQ(port.get_message(buffer, bytes, std::chrono::milliseconds(2)), STATUS_TIMEOUT);
  activity thread(system, 0, 4, 40);
  EXPECT_EQ(port_driver::send("x", LARGE_INTEGER{}), STATUS_TIMEOUT);
}

TEST_F(filter_port_test, a_buffer_too_short_is_told_to_both) {
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  pending_message message;
  ASSERT_EQ(port.begin_get(sizeof(filter_message_header) + 4, message), STATUS_PENDING);
  activity thread(system, 0, 4, 40);
  EXPECT_EQ(port_driver::send("12345", LARGE_INTEGER{}), STATUS_BUFFER_OVERFLOW);
  EXPECT_EQ(message.wait(long_enough), STATUS_BUFFER_TOO_SMALL);
  pending_message none;
  EXPECT_EQ(port.begin_get(sizeof(filter_message_header) - 1, none), STATUS_INVALID_PARAMETER);
}

TEST_F(filter_port_test, a_cancelled_get_ends_so) {
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  pending_message message;
  ASSERT_EQ(port.begin_get(64, message), STATUS_PENDING);
  port.cancel(message);
  EXPECT_EQ(message.wait(long_enough), STATUS_CANCELLED);
}

NTSTATUS ask(std::string_view question, std::string& answer, uint32_t room, std::optional<LARGE_INTEGER> timeout = {}) {
  std::vector<char> reply(room);
  ULONG length = room;
  const NTSTATUS status = FltSendMessage(port_driver::filter, &port_driver::client, const_cast<char*>(question.data()),
                                         static_cast<ULONG>(question.size()), reply.data(), &length,
                                         timeout ? &*timeout : nullptr);
  answer.assign(reply.data(), length);
  return status;
}

std::vector<uint8_t> reply_to(uint64_t id, std::string_view text) {
  const filter_reply_header header{0, 0, id};
  std::vector<uint8_t> reply(sizeof header + text.size());
  memcpy(reply.data(), &header, sizeof header);
  memcpy(reply.data() + sizeof header, text.data(), text.size());
  return reply;
}

TEST_F(filter_port_test, a_reply_finds_its_message_by_id) {
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  std::string answer;
  sending_thread sender(system, port, [&] {
    EXPECT_EQ(ask("2+2", answer, 8), STATUS_SUCCESS);
  });
  std::vector<uint8_t> buffer(64);
  uint64_t bytes = 0;
  ASSERT_EQ(port.get_message(buffer, bytes, long_enough), STATUS_SUCCESS);
  const filter_message_header header = header_of(buffer);
  EXPECT_EQ(header.reply_length, sizeof(filter_reply_header) + 8);
  EXPECT_EQ(port.reply(reply_to(header.message_id + 1, "5")), STATUS_FLT_NO_WAITER_FOR_REPLY);
  EXPECT_EQ(port.reply({buffer.data(), sizeof(filter_reply_header) - 1}), STATUS_INVALID_PARAMETER);
  EXPECT_EQ(port.reply(reply_to(header.message_id, "4")), STATUS_SUCCESS);
  sender.join();
  EXPECT_EQ(answer, "4");
  EXPECT_EQ(port.reply(reply_to(header.message_id, "4")), STATUS_FLT_NO_WAITER_FOR_REPLY) << "answered already";
}

TEST_F(filter_port_test, a_reply_longer_than_wanted_is_cut_and_said_to_be) {
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  std::string answer;
  sending_thread sender(system, port, [&] {
    EXPECT_EQ(ask("?", answer, 3), STATUS_BUFFER_OVERFLOW);
  });
  std::vector<uint8_t> buffer(64);
  uint64_t bytes = 0;
  ASSERT_EQ(port.get_message(buffer, bytes, long_enough), STATUS_SUCCESS);
  EXPECT_EQ(port.reply(reply_to(header_of(buffer).message_id, "12345")), STATUS_SUCCESS);
  sender.join();
  EXPECT_EQ(answer, "123");
}

TEST_F(filter_port_test, a_reply_that_comes_too_late_finds_nobody) {
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  pending_message message;
  ASSERT_EQ(port.begin_get(64, message), STATUS_PENDING);
  {
    activity thread(system, 0, 4, 40);
    std::string answer;
    EXPECT_EQ(ask("?", answer, 8, milliseconds(2)), STATUS_TIMEOUT);
    EXPECT_EQ(answer, "");
  }
  EXPECT_EQ(message.wait(long_enough), STATUS_SUCCESS);
  EXPECT_EQ(port.reply(reply_to(header_of(message.message()).message_id, "x")), STATUS_FLT_NO_WAITER_FOR_REPLY);
}

TEST_F(filter_port_test, closing_lets_go_who_sends_and_who_gets) {
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  std::atomic<bool> sending{false};
  sending_thread sender(system, port, [&] {
    sending = true;
    EXPECT_EQ(port_driver::send("never taken"), STATUS_PORT_DISCONNECTED);
  });
  eventually([&] { return sending.load(); });
  port.close();
  sender.join();
  activity thread(system, 1, 4, 40);
  EXPECT_EQ(port_driver::client, nullptr);
  EXPECT_EQ(port_driver::send("nobody there"), STATUS_PORT_DISCONNECTED);

  filter_port other;
  ASSERT_EQ(connect(other), STATUS_SUCCESS);
  pending_message message;
  ASSERT_EQ(other.begin_get(64, message), STATUS_PENDING);
  other.close();
  EXPECT_EQ(message.wait(long_enough), STATUS_CANCELLED);
}

TEST_F(filter_port_test, a_sender_that_waits_for_a_reply_is_let_go_too) {
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  sending_thread sender(system, port, [&] {
    std::string answer;
    EXPECT_EQ(ask("?", answer, 8), STATUS_PORT_DISCONNECTED);
  });
  std::vector<uint8_t> buffer(64);
  uint64_t bytes = 0;
  ASSERT_EQ(port.get_message(buffer, bytes, long_enough), STATUS_SUCCESS);
  port.close();
  sender.join();
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

// Everything at once: nothing is sent twice, lost, or left behind.
TEST_F(filter_port_test, sends_gets_timeouts_and_cancels_may_race_and_nothing_is_lost) {
  filter_port port;
  ASSERT_EQ(connect(port), STATUS_SUCCESS);
  constexpr uint32_t rounds = 2000;
  std::atomic<uint32_t> sent{0};
  std::atomic<bool> done{false};
  sending_thread sender(system, port, [&] {
    LARGE_INTEGER timeout;
    for (uint32_t i = 0; i < rounds; ++i) {
      timeout.QuadPart = -static_cast<int64_t>(i % 7 * 100);
      const NTSTATUS status = port_driver::send("m", timeout);
      EXPECT_TRUE(status == STATUS_SUCCESS || status == STATUS_TIMEOUT);
      sent += status == STATUS_SUCCESS;
    }
    done = true;
  });
  std::vector<uint8_t> buffer(64);
  uint32_t received = 0;
  uint64_t bytes = 0;
  while (!done) received += port.get_message(buffer, bytes, std::chrono::microseconds(received % 50)) == STATUS_SUCCESS;
  sender.join();
  EXPECT_EQ(received, sent);
}

}  // namespace
}  // namespace sluice::sim
