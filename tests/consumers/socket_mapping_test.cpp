// Kernel memory in a process that is elsewhere: it maps what the host asks it to, and whatever it does instead costs itself alone.
#include <sys/mman.h>

#include <gtest/gtest.h>

#include <atomic>

#include "tests/consumers/hosted_machine.h"
#include "tests/consumers/mapping_driver.h"
#include "tests/consumers/peer_process.h"
#include "tests/consumers/raw_socket.h"

namespace sluice {
namespace {

using test::bytes;
using test::code_map_pages;
using test::code_unmap_pages;
using test::eventually;
using test::frame_kind;
using test::mapped_pages;
using test::mapping_driver;
using test::raw_frame;
using test::raw_socket;
using test::text;

struct socket_mapping_test : test::hosted_machine {
  explicit socket_mapping_test(std::chrono::milliseconds answer = std::chrono::minutes(2))
      : hosted_machine({.shared_memory = true}, {.limits = {.answer = answer}}) {
    EXPECT_EQ(machine.load_driver("mapper", &mapping_driver::entry), STATUS_SUCCESS);
  }
  ~socket_mapping_test() override {
    host.reset();
    EXPECT_EQ(machine.in_use().user_mappings, 0u);
    EXPECT_EQ(machine.unload_driver("mapper"), STATUS_SUCCESS);
  }

  static nt_status map(nt_device& device, mapped_pages& pages) {
    uint64_t got = 0;
    return device.control(code_map_pages, {}, {reinterpret_cast<uint8_t*>(&pages), sizeof pages}, got, std::nullopt);
  }
  // Asks for the mapping; the host asks back.
  static void ask(raw_socket& socket, uint64_t id) {
    ASSERT_TRUE(socket.send(frame_kind::control, id, bytes(wire::control_request{code_map_pages, sizeof(mapped_pages)})));
  }
  static void expect_question(raw_socket& socket, uint64_t& id) {
    const std::optional<raw_frame> question = socket.receive();
    ASSERT_TRUE(question.has_value());
    ASSERT_EQ(question->header.kind, static_cast<uint16_t>(frame_kind::map));
    id = question->header.id;
  }
  static void expect_answer(raw_socket& socket, uint64_t id, int32_t status) {
    const std::optional<raw_frame> answer = socket.receive();
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->header.kind, static_cast<uint16_t>(frame_kind::answer));
    EXPECT_EQ(answer->header.id, id);
    EXPECT_EQ(answer->status(), status) << std::hex << answer->status();
  }
  void open(raw_socket& socket) {
    socket.hello();
    ASSERT_EQ(socket.call(frame_kind::open_device, text(u"Mapper")), STATUS_SUCCESS);
  }
};

TEST_F(socket_mapping_test, a_process_sees_the_kernels_pages_and_writes_only_its_own) {
  std::unique_ptr<nt_device> device;
  ASSERT_EQ(connect()->open_device(u"Mapper", device), nt::success);
  mapped_pages pages{};
  ASSERT_EQ(map(*device, pages), nt::success);
  auto* const reading = reinterpret_cast<char*>(pages.reading);
  auto* const writing = reinterpret_cast<char*>(pages.writing);
  char* const kernel = mapping_driver::the().memory;
  std::strcpy(kernel, "from the kernel");
  EXPECT_STREQ(reading, "from the kernel");
  std::strcpy(writing, "from the process");
  EXPECT_STREQ(kernel + PAGE_SIZE, "from the process");
  EXPECT_EQ(::mprotect(reading, PAGE_SIZE, PROT_READ | PROT_WRITE), -1);
  // Again, once it was given back.
  uint64_t got = 0;
  EXPECT_EQ(map(*device, pages), nt::sharing_violation);
  EXPECT_EQ(device->control(code_unmap_pages, {}, {}, got, std::nullopt), nt::success);
  EXPECT_EQ(machine.in_use().user_mappings, 0u);
  ASSERT_EQ(map(*device, pages), nt::success);
  EXPECT_STREQ(reinterpret_cast<char*>(pages.reading), "from the kernel");
  device.reset();
  eventually([&] { return machine.in_use().user_mappings == 0; });
}

TEST_F(socket_mapping_test, what_was_mapped_can_be_read_when_the_host_has_gone) {
  std::unique_ptr<nt_device> device;
  ASSERT_EQ(connect()->open_device(u"Mapper", device), nt::success);
  mapped_pages pages{};
  ASSERT_EQ(map(*device, pages), nt::success);
  std::strcpy(mapping_driver::the().memory, "last words");
  host.reset();
  uint64_t got = 0;
  EXPECT_EQ(device->control(code_unmap_pages, {}, {}, got, std::nullopt), nt::device_removed);
  EXPECT_STREQ(reinterpret_cast<char*>(pages.reading), "last words");
}

// A request that cannot be sent ends the connection, and the host closes the handle then. Who reads the pages meanwhile has not.
TEST_F(socket_mapping_test, what_was_mapped_can_be_read_until_the_handle_is_closed_also_when_a_request_could_not_be_sent) {
  std::unique_ptr<nt_device> device;
  ASSERT_EQ(connect()->open_device(u"Mapper", device), nt::success);
  mapped_pages pages{};
  ASSERT_EQ(map(*device, pages), nt::success);
  std::strcpy(mapping_driver::the().memory, "last words");
  uint32_t found = 0;
  for (int each = 3; each < 1024; ++each) {
    sockaddr_un peer{};
    socklen_t length = sizeof peer;
    if (::getpeername(each, reinterpret_cast<sockaddr*>(&peer), &length) != 0 || path != peer.sun_path) continue;
    ++found;
    ::shutdown(each, SHUT_WR);
  }
  ASSERT_GE(found, 1u);
  eventually([&] { return machine.in_use().user_mappings == 0; });  // the host has said so by now
  uint64_t got = 0;
  EXPECT_EQ(device->control(code_unmap_pages, {}, {}, got, std::nullopt), nt::device_removed);
  EXPECT_STREQ(reinterpret_cast<char*>(pages.reading), "last words");
}

TEST_F(socket_mapping_test, requests_that_come_before_the_answer_are_served_after_it) {
  raw_socket socket(path);
  open(socket);
  ask(socket, 1000);
  uint64_t question = 0;
  expect_question(socket, question);
  ASSERT_TRUE(socket.send(static_cast<frame_kind>(99), 1001));
  ASSERT_TRUE(socket.send(frame_kind::answer, question + 50, bytes(wire::map_answer{STATUS_SUCCESS, 0, 4096})));  // nobody asked
  ASSERT_TRUE(socket.send(frame_kind::answer, question, bytes(wire::map_answer{STATUS_SUCCESS, 0, 0x10000})));
  expect_question(socket, question);
  ASSERT_TRUE(socket.send(frame_kind::answer, question, bytes(wire::map_answer{STATUS_SUCCESS, 0, 0x20000})));
  expect_answer(socket, 1000, STATUS_SUCCESS);
  expect_answer(socket, 1001, STATUS_INVALID_DEVICE_REQUEST);
}

TEST_F(socket_mapping_test, answers_that_cannot_be_fail_the_mapping_and_nothing_else) {
  raw_socket socket(path);
  open(socket);
  uint64_t question = 0;
  const wire::map_answer impossible[] = {{STATUS_INSUFFICIENT_RESOURCES, 0, 0x10000}, {STATUS_SUCCESS, 0, 0}, {STATUS_SUCCESS, 0, 0x10001}};
  const int32_t expected[] = {STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_INVALID_PARAMETER};
  for (size_t i = 0; i < std::size(impossible); ++i) {
    ask(socket, 1000 + i);
    expect_question(socket, question);
    ASSERT_TRUE(socket.send(frame_kind::answer, question, bytes(impossible[i])));
    expect_answer(socket, 1000 + i, expected[i]);
    EXPECT_EQ(machine.in_use().user_mappings, 0u);
  }
  ask(socket, 2000);
  expect_question(socket, question);
  ASSERT_TRUE(socket.send(frame_kind::answer, question, bytes(uint64_t{0})));  // half of one
  EXPECT_TRUE(socket.is_closed());
  eventually([&] { return host->connections() == 0; });
  EXPECT_EQ(machine.in_use().user_mappings, 0u);
}

TEST_F(socket_mapping_test, a_process_that_goes_while_it_is_asked_costs_nothing) {
  for (uint32_t round = 0; round < 20; ++round) {
    raw_socket socket(path);
    open(socket);
    ask(socket, 1000);
    uint64_t question = 0;
    if (round % 2 == 0) expect_question(socket, question);
  }
  eventually([&] { return host->connections() == 0; });
  EXPECT_EQ(machine.in_use().user_mappings, 0u);
}

TEST_F(socket_mapping_test, a_process_that_is_killed_with_its_mapping_gives_it_back) {
  for (uint32_t round = 0; round < 5; ++round) {
    test::peer_process peer({"mapper", path});
    ASSERT_EQ(peer.line(), "mapped");
    EXPECT_EQ(machine.in_use().user_mappings, 2u);
    peer.kill();
    eventually([&] { return machine.in_use().user_mappings == 0; });
  }
}

TEST_F(socket_mapping_test, a_process_that_ends_gives_it_back_although_another_one_has_the_handle) {
  test::peer_process peer({"bequeather", path});
  ASSERT_EQ(peer.line(), "mapped");
  EXPECT_EQ(peer.line(), "left");
  EXPECT_EQ(peer.join(), 0);
  // Its child still has the connection; the kernel knows of the end by the process.
  eventually([&] { return mapping_driver::the().ended == 1; });
  EXPECT_EQ(machine.in_use().user_mappings, 0u);
  eventually([&] { return host->connections() == 1; });
}

struct impatient_kernel : socket_mapping_test {
  impatient_kernel() : socket_mapping_test(std::chrono::milliseconds(50)) {}
};

TEST_F(impatient_kernel, does_not_wait_for_a_process_that_does_not_answer) {
  raw_socket socket(path), other(path);
  open(socket);
  open(other);
  ask(socket, 1000);
  uint64_t question = 0;
  expect_question(socket, question);
  EXPECT_EQ(other.call(static_cast<frame_kind>(99)), STATUS_INVALID_DEVICE_REQUEST);
  expect_answer(socket, 1000, STATUS_IO_TIMEOUT);
  ASSERT_TRUE(socket.send(frame_kind::answer, question, bytes(wire::map_answer{STATUS_SUCCESS, 0, 0x10000})));  // too late
  EXPECT_EQ(socket.call(static_cast<frame_kind>(99)), STATUS_INVALID_DEVICE_REQUEST);
  EXPECT_EQ(machine.in_use().user_mappings, 0u);
}

}  // namespace
}  // namespace sluice
