// What a process may say to the host, at the bounds of every field and beyond them: it has a clear answer or loses its connection,
// and nobody else notices.
#include <gtest/gtest.h>

#include <random>

#include <fltkernel.h>

#include "consumers/device_source.h"
#include "kernel_port/driver/protocol.h"
#include "tests/consumers/hosted_machine.h"
#include "tests/consumers/raw_socket.h"

namespace sluice {
namespace {

using test::bytes;
using test::eventually;
using test::frame_kind;
using test::raw_socket;
using test::text;

constexpr uint32_t longest_answer = wire::max_frame_bytes - sizeof(wire::answer_header);

std::vector<uint8_t> joined(std::vector<uint8_t> first, const std::vector<uint8_t>& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

std::vector<uint8_t> port_request(std::u16string_view name, const std::vector<uint8_t>& context) {
  return joined(joined(bytes(static_cast<uint16_t>(name.size() * 2)), text(name)), context);
}

std::vector<uint8_t> good_context(const char* name) {
  protocol::port_context made{protocol::port_context_magic, protocol::version, ~uint64_t{0}, protocol::port_order_merged, 0, {}};
  std::strncpy(made.name, name, sizeof made.name - 1);
  return bytes(made);
}

struct socket_hostile_test : test::hosted_machine {
  // Nobody is let go for having been silent: who is, was cut off for what he said.
  explicit socket_hostile_test(const sim::host_options& of_host = {.limits = {.hello = std::chrono::minutes(10)}})
      : hosted_machine({}, of_host) {}

  void connect_port(raw_socket& socket) {
    socket.hello();
    ASSERT_EQ(socket.call(frame_kind::connect_port, port_request(protocol::port_name, good_context("hostile"))), STATUS_SUCCESS);
  }
  // Whatever has happened: others are served.
  void expect_served() {
    device_source source(connect(), u"Sluice");
    EXPECT_NE(source.capabilities().cpu_count, 0u);
  }
};

TEST_F(socket_hostile_test, whoever_does_not_begin_with_a_hello_is_cut_off) {
  const auto good = bytes(wire::client_hello{wire::hello_magic, wire::version});
  const auto cut_off = [&](const std::vector<uint8_t>& said) {
    raw_socket socket(path);
    EXPECT_TRUE(socket.send(said));
    EXPECT_FALSE(socket.receive().has_value());
  };
  const auto frame = [](uint32_t length, uint16_t kind, uint16_t flags, const std::vector<uint8_t>& body) {
    return joined(bytes(wire::frame_header{length, kind, flags, 0}), body);
  };
  cut_off(frame(8, 16, 0, good));                                                     // another kind
  cut_off(frame(8, 1, 0, bytes(wire::client_hello{0x48434c54, wire::version})));      // another magic
  cut_off(frame(4, 1, 0, bytes(uint32_t{wire::hello_magic})));                        // too short
  cut_off(frame(0, 1, 0, {}));
  cut_off(frame(8, 1, 1, good));                                                      // flags
  cut_off(frame(wire::max_frame_bytes + 1, 1, 0, good));                              // too long
  cut_off(frame(~uint32_t{0}, 1, 0, good));
  cut_off(std::vector<uint8_t>(1000, 0xff));
  expect_served();
}

TEST_F(socket_hostile_test, another_version_is_told_so) {
  for (const uint32_t version : {0u, 2u, ~0u}) {
    raw_socket socket(path);
    ASSERT_TRUE(socket.send(frame_kind::hello, 0, bytes(wire::client_hello{wire::hello_magic, version})));
    const auto theirs = socket.receive();
    ASSERT_TRUE(theirs.has_value());
    wire::server_hello hello;
    ASSERT_EQ(theirs->bytes.size(), sizeof hello);
    std::memcpy(&hello, theirs->bytes.data(), sizeof hello);
    EXPECT_EQ(hello.status, STATUS_REVISION_MISMATCH);
    EXPECT_TRUE(socket.is_closed());
  }
}

TEST_F(socket_hostile_test, requests_before_a_handle_and_of_the_other_kind_of_handle_are_refused) {
  raw_socket none(path);
  none.hello();
  for (const frame_kind kind : {frame_kind::read, frame_kind::control, frame_kind::get_message, frame_kind::reply,
                                frame_kind::send, frame_kind::set_information}) {
    EXPECT_EQ(none.call(kind, std::vector<uint8_t>(64)), STATUS_INVALID_HANDLE);
  }
  ASSERT_TRUE(none.send(frame_kind::cancel, 0, bytes(uint64_t{0})));  // has no answer
  raw_socket device(path);
  device.open_device();
  for (const frame_kind kind : {frame_kind::get_message, frame_kind::reply, frame_kind::send}) {
    EXPECT_EQ(device.call(kind, std::vector<uint8_t>(64)), STATUS_OBJECT_TYPE_MISMATCH);
  }
  EXPECT_EQ(device.call(frame_kind::open_device, text(u"Sluice")), STATUS_INVALID_PARAMETER);
  EXPECT_EQ(device.call(frame_kind::connect_port, port_request(protocol::port_name, {})), STATUS_INVALID_PARAMETER);
  raw_socket port(path);
  connect_port(port);
  for (const frame_kind kind : {frame_kind::read, frame_kind::control, frame_kind::set_information}) {
    EXPECT_EQ(port.call(kind, std::vector<uint8_t>(64)), STATUS_OBJECT_TYPE_MISMATCH);
  }
}

TEST_F(socket_hostile_test, kinds_that_there_are_not_are_answered_so) {
  raw_socket socket(path);
  socket.open_device();
  for (const uint16_t kind : {0, 1, 3, 15, 25, 31, 32, 33, 34, 0x7fff, 0xffff}) {
    EXPECT_EQ(socket.call(static_cast<frame_kind>(kind), std::vector<uint8_t>(16)), STATUS_INVALID_DEVICE_REQUEST) << kind;
  }
}

TEST_F(socket_hostile_test, an_id_that_cannot_be_told_apart_ends_the_connection) {
  raw_socket none(path);
  none.open_device();
  ASSERT_TRUE(none.send(frame_kind::control, 0, bytes(wire::control_request{protocol::code_flush, 0})));
  EXPECT_TRUE(none.is_closed());
  raw_socket twice(path);
  twice.open_device();
  ASSERT_EQ(twice.call(frame_kind::read, bytes(wire::capacity_request{65536})), STATUS_SUCCESS);  // the anchor
  ASSERT_TRUE(twice.send(frame_kind::read, 1000, bytes(wire::capacity_request{65536})));
  ASSERT_TRUE(twice.send(frame_kind::read, 1000, bytes(wire::capacity_request{65536})));
  EXPECT_TRUE(twice.is_closed());
  expect_served();
}

TEST_F(socket_hostile_test, names_that_are_none_are_refused_and_may_be_followed_by_better_ones) {
  raw_socket socket(path);
  socket.hello();
  std::vector<uint8_t> odd = text(u"Sluice");
  odd.push_back(0);
  EXPECT_EQ(socket.call(frame_kind::open_device, {}), STATUS_OBJECT_NAME_INVALID);
  EXPECT_EQ(socket.call(frame_kind::open_device, odd), STATUS_OBJECT_NAME_INVALID);
  EXPECT_EQ(socket.call(frame_kind::open_device, std::vector<uint8_t>(wire::max_name_bytes + 2, 'a')), STATUS_OBJECT_NAME_INVALID);
  EXPECT_EQ(socket.call(frame_kind::open_device, std::vector<uint8_t>(wire::max_name_bytes)), STATUS_OBJECT_NAME_NOT_FOUND);
  EXPECT_EQ(socket.call(frame_kind::connect_port, {}), STATUS_OBJECT_NAME_INVALID);
  EXPECT_EQ(socket.call(frame_kind::connect_port, {1}), STATUS_OBJECT_NAME_INVALID);
  EXPECT_EQ(socket.call(frame_kind::connect_port, bytes(uint16_t{0})), STATUS_OBJECT_NAME_INVALID);
  EXPECT_EQ(socket.call(frame_kind::connect_port, bytes(uint16_t{3}, uint32_t{0})), STATUS_OBJECT_NAME_INVALID);
  EXPECT_EQ(socket.call(frame_kind::connect_port, bytes(uint16_t{0xfffe}, uint32_t{0})), STATUS_OBJECT_NAME_INVALID);
  EXPECT_EQ(socket.call(frame_kind::connect_port, port_request(protocol::port_name, {})), STATUS_INFO_LENGTH_MISMATCH);
  EXPECT_EQ(socket.call(frame_kind::connect_port, port_request(protocol::port_name, std::vector<uint8_t>(65536))),
            STATUS_INVALID_PARAMETER);
  EXPECT_EQ(socket.call(frame_kind::connect_port, port_request(protocol::port_name, std::vector<uint8_t>(56))),
            STATUS_INVALID_PARAMETER);
  EXPECT_EQ(socket.call(frame_kind::connect_port, port_request(protocol::port_name, good_context("at last"))), STATUS_SUCCESS);
}

TEST_F(socket_hostile_test, requests_at_the_bounds_of_their_fields_have_a_clear_status) {
  raw_socket device(path);
  device.open_device();
  for (const frame_kind kind : {frame_kind::read, frame_kind::control, frame_kind::set_information}) {
    EXPECT_EQ(device.call(kind, {}), STATUS_INFO_LENGTH_MISMATCH);
    EXPECT_EQ(device.call(kind, {1, 2, 3}), STATUS_INFO_LENGTH_MISMATCH);
  }
  EXPECT_EQ(device.call(frame_kind::control, std::vector<uint8_t>(7)), STATUS_INFO_LENGTH_MISMATCH);
  const auto capacity = [](uint32_t of) { return bytes(wire::capacity_request{of}); };
  EXPECT_EQ(device.call(frame_kind::read, capacity(0)), STATUS_BUFFER_TOO_SMALL);
  EXPECT_EQ(device.call(frame_kind::read, capacity(protocol::min_read_bytes - 1)), STATUS_BUFFER_TOO_SMALL);
  EXPECT_EQ(device.call(frame_kind::read, capacity(longest_answer)), STATUS_SUCCESS);
  EXPECT_EQ(device.call(frame_kind::read, capacity(longest_answer + 1)), STATUS_INSUFFICIENT_RESOURCES);
  EXPECT_EQ(device.call(frame_kind::read, capacity(~uint32_t{0})), STATUS_INSUFFICIENT_RESOURCES);
  const auto control = [](uint32_t code, uint32_t room) { return bytes(wire::control_request{code, room}); };
  EXPECT_EQ(device.call(frame_kind::control, control(protocol::code_capabilities, ~uint32_t{0})), STATUS_INSUFFICIENT_RESOURCES);
  EXPECT_EQ(device.call(frame_kind::control, control(protocol::code_capabilities, 0)), STATUS_BUFFER_TOO_SMALL);
  EXPECT_EQ(device.call(frame_kind::control, control(protocol::code_capabilities, longest_answer)), STATUS_SUCCESS);
  EXPECT_EQ(device.call(frame_kind::control, control(protocol::code_set_types, 0)), STATUS_INFO_LENGTH_MISMATCH);
  for (const uint32_t method : {1u, 2u, 3u}) {
    EXPECT_EQ(device.call(frame_kind::control, control(protocol::code_capabilities | method, 4096)), STATUS_NOT_SUPPORTED);
  }
  EXPECT_EQ(device.call(frame_kind::control, control(0, 4096)), STATUS_INVALID_DEVICE_REQUEST);
  EXPECT_EQ(device.call(frame_kind::control, control(0xfffffffc, 4096)), STATUS_INVALID_DEVICE_REQUEST);
  EXPECT_EQ(device.call(frame_kind::set_information, bytes(uint32_t{20}, uint64_t{0})), STATUS_SUCCESS);
  // As long as a frame can be, and no filter: the answer says what is wrong with it.
  const std::vector<uint8_t> filter(wire::max_frame_bytes - sizeof(wire::control_request), 0xff);
  EXPECT_EQ(device.call(frame_kind::control, joined(control(protocol::code_set_filter, 4096), filter)), STATUS_SUCCESS);

  raw_socket port(path);
  connect_port(port);
  EXPECT_EQ(port.call(frame_kind::get_message, {}), STATUS_INFO_LENGTH_MISMATCH);
  EXPECT_EQ(port.call(frame_kind::get_message, capacity(15)), STATUS_INVALID_PARAMETER);
  EXPECT_EQ(port.call(frame_kind::get_message, capacity(~uint32_t{0})), STATUS_INSUFFICIENT_RESOURCES);
  EXPECT_EQ(port.call(frame_kind::reply, {}), STATUS_INVALID_PARAMETER);
  EXPECT_EQ(port.call(frame_kind::reply, std::vector<uint8_t>(16)), STATUS_FLT_NO_WAITER_FOR_REPLY);
  EXPECT_EQ(port.call(frame_kind::send, {}), STATUS_INFO_LENGTH_MISMATCH);
  EXPECT_EQ(port.call(frame_kind::send, capacity(0)), STATUS_INFO_LENGTH_MISMATCH);
  EXPECT_EQ(port.call(frame_kind::send, capacity(~uint32_t{0})), STATUS_INSUFFICIENT_RESOURCES);
  EXPECT_EQ(port.call(frame_kind::send, joined(capacity(4096), bytes(protocol::port_message{protocol::version, 1}))),
            STATUS_INVALID_DEVICE_REQUEST);
  EXPECT_EQ(port.call(frame_kind::send, joined(capacity(4096), bytes(protocol::port_message{0, protocol::code_capabilities}))),
            STATUS_REVISION_MISMATCH);
  expect_served();
}

TEST_F(socket_hostile_test, messages_of_every_length_do_not_use_up_the_kernels_addresses) {
  raw_socket port(path);
  connect_port(port);
  for (uint32_t room = 1; room <= longest_answer; room *= 2) {
    for (uint32_t i = 0; i < 24; ++i) {
      const auto message = joined(bytes(wire::capacity_request{room + i}), bytes(protocol::port_message{protocol::version, 1}));
      ASSERT_EQ(port.call(frame_kind::send, message), room + i <= longest_answer ? STATUS_INVALID_DEVICE_REQUEST : STATUS_INSUFFICIENT_RESOURCES);
    }
  }
}

TEST_F(socket_hostile_test, a_short_cancel_ends_the_connection) {
  raw_socket socket(path);
  socket.open_device();
  ASSERT_TRUE(socket.send(frame_kind::cancel, 0, bytes(uint32_t{0})));
  EXPECT_TRUE(socket.is_closed());
}

TEST_F(socket_hostile_test, as_many_requests_pend_as_may_and_no_more) {
  raw_socket socket(path);
  socket.open_device();
  ASSERT_EQ(socket.call(frame_kind::read, bytes(wire::capacity_request{65536})), STATUS_SUCCESS);  // the anchor
  constexpr uint64_t first = 1000, most = sim::connection_limits{}.requests;
  for (uint64_t i = 0; i < most; ++i) {
    ASSERT_TRUE(socket.send(frame_kind::read, first + i, bytes(wire::capacity_request{65536})));
  }
  EXPECT_EQ(socket.call(frame_kind::read, bytes(wire::capacity_request{65536})), STATUS_INSUFFICIENT_RESOURCES);
  ASSERT_TRUE(socket.send(frame_kind::cancel, 0, bytes(first + 7)));
  auto answer = socket.receive();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->header.id, first + 7);
  EXPECT_EQ(answer->status(), STATUS_CANCELLED);
  ASSERT_TRUE(socket.send(frame_kind::cancel, 0, bytes(uint64_t{0})));
  for (uint64_t i = 1; i < most; ++i) {
    answer = socket.receive();
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->status(), STATUS_CANCELLED);
  }
  // What was promised is given back with the requests.
  constexpr uint32_t large = 4u << 20;
  for (uint64_t i = 0; i < sim::connection_limits{}.bytes / large; ++i) {
    ASSERT_TRUE(socket.send(frame_kind::read, first + i, bytes(wire::capacity_request{large})));
  }
  EXPECT_EQ(socket.call(frame_kind::read, bytes(wire::capacity_request{65536})), STATUS_INSUFFICIENT_RESOURCES);
}

TEST_F(socket_hostile_test, a_flood_of_requests_whose_answers_nobody_reads_is_not_taken) {
  raw_socket socket(path);
  socket.open_device();
  std::vector<uint8_t> flood;
  for (uint64_t id = 1000; id < 2000; ++id) {
    flood = joined(flood, bytes(wire::frame_header{8, static_cast<uint16_t>(frame_kind::control), 0, id},
                                wire::control_request{protocol::code_statistics, 65536}));
  }
  constexpr size_t most = size_t{16} << 20;
  size_t taken = 0;
  uint32_t idle = 0;
  // Takes what it may hold, and then nothing more: the answers to what it has taken are bounded.
  eventually([&] {
    const size_t n = socket.send_what_fits(flood);
    taken += n;
    idle = n == 0 ? idle + 1 : 0;
    return idle == 4000 || taken >= most;
  });
  EXPECT_LT(taken, most);
  expect_served();
}

struct impatient_host : socket_hostile_test {
  impatient_host() : socket_hostile_test({.limits = {.hello = std::chrono::milliseconds(50)}}) {}
};

TEST_F(impatient_host, whoever_connects_and_opens_nothing_is_let_go) {
  raw_socket silent(path), half(path), greeting(path);
  (void)half.send({8, 0, 0});  // or it is too late already
  (void)greeting.send(frame_kind::hello, 0, bytes(wire::client_hello{wire::hello_magic, wire::version}));
  EXPECT_TRUE(silent.is_closed());
  EXPECT_TRUE(half.is_closed());
  EXPECT_TRUE(greeting.is_closed());
  eventually([&] { return host->connections() == 0; });
}

struct small_host : socket_hostile_test {
  small_host() : socket_hostile_test({.connections = 2}) {}
};

TEST_F(small_host, one_connection_more_than_it_serves_is_told_so) {
  raw_socket first(path), second(path);
  first.hello();
  second.hello();
  raw_socket third(path);
  const auto refusal = third.receive();
  ASSERT_TRUE(refusal.has_value());
  wire::server_hello hello;
  ASSERT_EQ(refusal->bytes.size(), sizeof hello);
  std::memcpy(&hello, refusal->bytes.data(), sizeof hello);
  EXPECT_EQ(hello.status, STATUS_CONNECTION_COUNT_LIMIT);
  EXPECT_TRUE(third.is_closed());
  EXPECT_THROW(connect(), source_error);
}

TEST_F(socket_hostile_test, more_clients_of_the_port_than_it_serves_are_told_so) {
  std::vector<std::unique_ptr<raw_socket>> clients;
  for (uint32_t i = 0; i < protocol::max_port_clients; ++i) {
    clients.push_back(std::make_unique<raw_socket>(path));
    connect_port(*clients.back());
  }
  raw_socket more(path);
  more.hello();
  EXPECT_EQ(more.call(frame_kind::connect_port, port_request(protocol::port_name, good_context("more"))), STATUS_CONNECTION_COUNT_LIMIT);
  clients.pop_back();
  eventually([&] {
    return more.call(frame_kind::connect_port, port_request(protocol::port_name, good_context("more"))) == STATUS_SUCCESS;
  });
}

// Frames that are nearly right, in any order, whole or cut off in the middle.
TEST_F(socket_hostile_test, nearly_right_frames_in_any_order_harm_nobody) {
  std::mt19937 random(1);
  const auto any = [&](uint32_t below) { return static_cast<uint32_t>(random() % below); };
  const auto before = machine.in_use();
  for (uint32_t round = 0; round < 300; ++round) {
    raw_socket socket(path);
    if (any(16) != 0) socket.hello();
    if (any(4) != 0) {
      if (any(2) == 0) {
        socket.send(frame_kind::open_device, 1, text(u"Sluice"));
      } else {
        socket.send(frame_kind::connect_port, 1, port_request(protocol::port_name, good_context("nearly")));
      }
    }
    const uint32_t frames = any(12);
    for (uint32_t i = 0; i < frames; ++i) {
      constexpr uint32_t interesting[] = {0, 1, 15, 16, 65536, 65552, 4u << 20, ~uint32_t{0}};
      std::vector<uint8_t> body = bytes(any(3) == 0 ? interesting[any(8)] : protocol::control_code(0x900 + any(20), 1 + any(2)),
                                        interesting[any(8)], protocol::version, protocol::control_code(0x900 + any(20), 1));
      body.resize(any(3) == 0 ? any(static_cast<uint32_t>(body.size())) : body.size() + any(100));
      if (any(4) == 0 && !body.empty()) body[any(static_cast<uint32_t>(body.size()))] ^= static_cast<uint8_t>(1u << any(8));
      const auto kind = static_cast<uint16_t>(any(10) == 0 ? any(64) : 16 + any(9));
      std::vector<uint8_t> frame =
          joined(bytes(wire::frame_header{static_cast<uint32_t>(body.size()), kind, 0, 2 + i}), body);
      if (any(40) == 0) frame[any(16)] ^= static_cast<uint8_t>(1u << any(8));
      if (any(20) == 0) frame.resize(any(static_cast<uint32_t>(frame.size())));
      if (!socket.send(frame)) break;
    }
  }
  eventually([&] { return host->connections() == 0; });
  const auto after = machine.in_use();
  EXPECT_EQ(after.filter_connections, before.filter_connections);
  EXPECT_EQ(after.system_threads, before.system_threads);
  expect_served();
}

}  // namespace
}  // namespace sluice
