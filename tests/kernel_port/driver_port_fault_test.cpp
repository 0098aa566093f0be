// Clients that sleep, die, lie, or change what they have said.
#include "tests/kernel_port/driver_port_support.h"

namespace sluice::test {
namespace {

struct driver_port_fault : testing::Test {
  loaded_machine on;
};

TEST_F(driver_port_fault, a_dead_process_costs_nobody_else_anything) {
  ASSERT_EQ(sim::create_process({.pid = 4400, .parent_pid = 4}), STATUS_SUCCESS);
  port_client victim(on.machine, wants(~uint64_t{0}, 0, "victim"), 4400);
  port_client other(on.machine);
  for (uint64_t i = 0; i < 100; ++i) sim::load_image({.base = i});
  std::vector<received> records;
  ASSERT_EQ(victim.read(records), STATUS_SUCCESS);
  ASSERT_EQ(sim::exit_process(4400, 9), STATUS_SUCCESS);
  EXPECT_EQ(victim.read(records, std::chrono::milliseconds(1)), STATUS_INVALID_HANDLE);
  EXPECT_EQ(other.clients().size(), 1u);
  for (uint64_t i = 0; i < 100; ++i) sim::load_image({.base = i});
  EXPECT_EQ(of_type(other.drain(), event_type_image_load).size(), 200u);
}

// On its way in, in the driver, or behind it: a message of a process that ends meets a client that is there, or none.
TEST_F(driver_port_fault, a_process_may_end_while_its_messages_are_being_answered) {
  for (uint32_t i = 0; i < 30; ++i) {
    ASSERT_EQ(sim::create_process({.pid = 4500 + i, .parent_pid = 4}), STATUS_SUCCESS);
    port_client client(on.machine, wants(), 4500 + i);
    std::atomic<uint32_t> asked{0};
    std::thread asking([&] {
      std::vector<uint8_t> out(1 << 12);
      uint64_t bytes = 0;
      NTSTATUS status = STATUS_SUCCESS;
      while (!NT_ERROR(status)) {
        status = client.send(asked++ % 2 == 0 ? protocol::code_clients : protocol::code_flush, {}, out, bytes);
      }
      EXPECT_TRUE(status == STATUS_PORT_DISCONNECTED || status == STATUS_INVALID_HANDLE) << std::hex << status;
    });
    EXPECT_TRUE(wait_until([&] { return asked > i % 5; }));
    EXPECT_EQ(sim::exit_process(4500 + i, 0), STATUS_SUCCESS);
    asking.join();
  }
  EXPECT_EQ(on.machine.in_use().filter_connections, 0u);
}

TEST_F(driver_port_fault, a_client_may_go_while_a_batch_is_being_sent_to_it) {
  for (uint32_t i = 0; i < 50; ++i) {
    port_client client(on.machine);
    sim::load_image({.base = i});
    ASSERT_EQ(client.flush(), STATUS_SUCCESS);  // its thread is in FltSendMessage, or on its way there
  }
  EXPECT_EQ(on.machine.in_use().filter_connections, 0u);
}

// A message whose memory takes its time to be read, as a file on a slow disk does: what the driver took for it is held so long.
struct slow_message {
  static constexpr protocol::port_message header{protocol::version, protocol::code_clients};

  explicit slow_message(sim::machine& machine)
      : client(machine), in(bytes_of(header)), out(protocol::max_control_bytes) {
    in.on_read([this](uint64_t) {
      being_read = true;
      eventually([this] { return let_go.load(); });
    });
    asking = std::thread([this] {
      uint64_t written = 0;
      status = client.port.send(&in, sizeof header, &out, protocol::max_control_bytes, written);
    });
    eventually([this] { return being_read.load(); });
  }
  ~slow_message() {
    let_go = true;
    asking.join();
    EXPECT_EQ(status, STATUS_SUCCESS);
  }

  port_client client;
  sim::user_memory in, out;
  std::atomic<bool> being_read{false}, let_go{false};
  NTSTATUS status = STATUS_PENDING;
  std::thread asking;
};

TEST_F(driver_port_fault, what_messages_take_of_the_kernels_memory_is_bounded_for_each_client_and_for_all) {
  port_client other(on.machine, wants(~uint64_t{0}, 0, "other"));
  std::vector<uint8_t> largest(protocol::max_control_bytes), small(1 << 12);
  const auto ask = [](port_client& client, std::vector<uint8_t>& out) {
    uint64_t bytes = 0;
    return client.send(protocol::code_clients, {}, out, bytes);
  };
  std::vector<std::unique_ptr<slow_message>> slow;
  while (slow.size() < message_limit::of_all / message_limit::of_client) {
    EXPECT_EQ(ask(other, largest), STATUS_SUCCESS);
    slow.push_back(std::make_unique<slow_message>(on.machine));
    EXPECT_EQ(ask(slow.back()->client, small), STATUS_QUOTA_EXCEEDED) << "its own limit";
  }
  EXPECT_EQ(ask(other, largest), STATUS_QUOTA_EXCEEDED) << "that of all";
  slow.pop_back();
  EXPECT_EQ(ask(other, largest), STATUS_SUCCESS);
  slow.clear();
  EXPECT_EQ(ask(other, largest), STATUS_SUCCESS);
}

TEST_F(driver_port_fault, the_driver_unloads_with_clients_connected_and_a_batch_on_its_way) {
  std::vector<std::unique_ptr<port_client>> clients;
  for (uint32_t i = 0; i < 5; ++i) clients.push_back(std::make_unique<port_client>(on.machine));
  for (uint64_t i = 0; i < 100; ++i) sim::load_image({.base = i});
  ASSERT_EQ(on.machine.unload_driver("Sluice"), STATUS_SUCCESS);
  std::vector<received> records;
  EXPECT_EQ(clients[0]->read(records), STATUS_INVALID_HANDLE);
  clients.clear();
  ASSERT_EQ(on.machine.load_driver("Sluice", &test_driver_entry), STATUS_SUCCESS);
  port_client again(on.machine);
  sim::load_image({.base = 1});
  EXPECT_EQ(of_type(again.drain(), event_type_image_load).size(), 1u);
}

TEST_F(driver_port_fault, a_driver_can_be_loaded_and_unloaded_under_load_again_and_again) {
  std::atomic<bool> done{false};
  std::thread load([&] {
    sim::activity here(on.machine, 1, 900, 901);
    while (!done) sim::load_image({.base = 1});
  });
  for (uint32_t i = 0; i < 20; ++i) {
    port_client client(on.machine);
    std::vector<received> records;
    if (i % 2 == 0) {
      EXPECT_EQ(client.read(records), STATUS_SUCCESS);
    }
    EXPECT_EQ(on.machine.unload_driver("Sluice"), STATUS_SUCCESS);
    EXPECT_EQ(on.machine.load_driver("Sluice", &test_driver_entry), STATUS_SUCCESS);
  }
  done = true;
  load.join();
}

TEST_F(driver_port_fault, a_buffer_too_short_loses_nothing) {
  port_client client(on.machine);
  sim::load_image({.base = 1});
  ASSERT_EQ(client.flush(), STATUS_SUCCESS);
  std::vector<uint8_t> short_buffer(sizeof(sim::filter_message_header) + 8);
  uint64_t bytes = 0;
  EXPECT_EQ(client.port.get_message(short_buffer, bytes, long_enough), STATUS_BUFFER_TOO_SMALL);
  EXPECT_EQ(of_type(client.drain(), event_type_image_load).size(), 1u);
  EXPECT_GE(client.row().failed_sends, 1u);
}

TEST_F(driver_port_fault, messages_of_every_length_and_version_are_answered) {
  port_client client(on.machine);
  uint64_t bytes = 0;
  std::vector<uint8_t> message(64), out(64);
  const protocol::port_message header{protocol::version, protocol::code_set_types};
  std::memcpy(message.data(), &header, sizeof header);
  for (size_t length = 0; length < sizeof header; ++length) {
    EXPECT_EQ(client.port.send({message.data(), length}, out, bytes), STATUS_INFO_LENGTH_MISMATCH) << length;
  }
  for (size_t length = sizeof header; length < sizeof header + sizeof(protocol::set_types); ++length) {
    EXPECT_EQ(client.port.send({message.data(), length}, out, bytes), STATUS_INFO_LENGTH_MISMATCH) << length;
  }
  for (const uint32_t version : {0u, protocol::version - 1, protocol::version + 1, ~0u}) {
    EXPECT_EQ(client.send(protocol::code_capabilities, {}, out, bytes, version), STATUS_REVISION_MISMATCH);
  }
  for (size_t length = 0; length < sizeof(protocol::capabilities); ++length) {
    EXPECT_EQ(client.send(protocol::code_capabilities, {}, std::span(out).first(std::min(length, out.size())), bytes),
              length >= sizeof(protocol::capabilities) ? STATUS_SUCCESS : STATUS_BUFFER_TOO_SMALL);
  }
  for (uint32_t code = 0x8000000c; code < 0x80000010; ++code) {
    EXPECT_EQ(client.send(code, {}, out, bytes), STATUS_INVALID_DEVICE_REQUEST);
  }
  std::vector<uint8_t> too_long(protocol::max_control_bytes + 1);
  std::memcpy(too_long.data(), &header, sizeof header);
  EXPECT_EQ(client.port.send(too_long, out, bytes), STATUS_INVALID_BUFFER_SIZE);
}

TEST_F(driver_port_fault, a_message_is_read_once_whatever_its_memory_does) {
  port_client client(on.machine);
  struct {
    protocol::port_message header{protocol::version, protocol::code_set_types};
    protocol::set_types content{protocol::version, 0, 0};
  } message;
  sim::user_memory in(bytes_of(message));
  in.on_read([&](uint64_t nth) {
    if (nth != 0) std::memset(in.data(), 0xff, in.size());  // what a second look would find
  });
  uint64_t bytes = 0;
  EXPECT_EQ(client.port.send(&in, sizeof message, nullptr, 0, bytes), STATUS_SUCCESS);
  EXPECT_EQ(in.reads(), 1u);
}

TEST_F(driver_port_fault, memory_that_is_not_there_is_an_answer_and_no_bug_check) {
  port_client client(on.machine);
  const protocol::port_message header{protocol::version, protocol::code_capabilities};
  uint64_t bytes = 0;
  for (size_t there = 0; there < sizeof header; ++there) {
    sim::user_memory in(bytes_of(header)), out(sizeof(protocol::capabilities));
    in.accessible_up_to(there);
    EXPECT_EQ(client.port.send(&in, sizeof header, &out, sizeof(protocol::capabilities), bytes), STATUS_ACCESS_VIOLATION);
    EXPECT_EQ(bytes, 0u);
  }
  sim::user_memory in(bytes_of(header)), out(sizeof(protocol::capabilities));
  out.accessible_up_to(sizeof(protocol::capabilities) - 1);
  EXPECT_EQ(client.port.send(&in, sizeof header, &out, sizeof(protocol::capabilities), bytes), STATUS_ACCESS_VIOLATION);
  EXPECT_EQ(bytes, 0u);
  EXPECT_EQ(client.port.send(&in, sizeof header, nullptr, 0, bytes), STATUS_BUFFER_TOO_SMALL);
}

TEST_F(driver_port_fault, somebody_else_s_process_is_not_let_in) {
  sim::filter_port port;
  const protocol::port_context context = wants();
  EXPECT_EQ(port.connect(on.machine, protocol::port_name, bytes_of(context), 4100, 65534), STATUS_ACCESS_DENIED);
}

// A client that asks for everything at once and never takes a message.
TEST_F(driver_port_fault, a_client_that_only_asks_does_not_keep_others_from_their_events) {
  std::atomic<bool> done{false};
  port_client rude(on.machine, wants(~uint64_t{0}, 0, "rude"));
  port_client other(on.machine);
  std::thread asking([&] {
    std::vector<uint8_t> out(1 << 16);
    uint64_t bytes = 0;
    while (!done) {
      EXPECT_EQ(rude.flush(), STATUS_SUCCESS);
      (void)rude.send(protocol::code_statistics, {}, out, bytes);
    }
  });
  for (uint64_t i = 0; i < 20; ++i) {
    sim::load_image({.base = i});
    EXPECT_EQ(of_type(other.drain(), event_type_image_load).size(), 1u);
  }
  done = true;
  asking.join();
}

}  // namespace
}  // namespace sluice::test
