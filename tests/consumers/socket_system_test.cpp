// The calls to a machine behind a socket: what comes back is what the kernel there said, whoever waits for it and however it ends.
#include "consumers/nt/socket_system.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "consumers/device_source.h"
#include "consumers/event_stream.h"
#include "consumers/nt/socket_name.h"
#include "consumers/port_source.h"
#include "kernel_port/driver/protocol.h"
#include "kernel_port/sim/host/frame.h"
#include "tests/consumers/drain.h"
#include "tests/consumers/hosted_machine.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::eventually;

constexpr seconds patience{60};

struct socket_system_test : test::hosted_machine {
  static protocol::port_context context(const char* name) {
    protocol::port_context made{protocol::port_context_magic, protocol::version, ~uint64_t{0}, protocol::port_order_merged, 0, {}};
    std::strncpy(made.name, name, sizeof made.name);
    return made;
  }
  static nt_status connect_port(nt_system& system, std::unique_ptr<nt_port>& port) {
    const protocol::port_context about = context("test");
    return system.connect_port(protocol::port_name, {reinterpret_cast<const uint8_t*>(&about), sizeof about}, port);
  }
  static std::unique_ptr<nt_device> open_device(nt_system& system) {
    std::unique_ptr<nt_device> device;
    EXPECT_EQ(system.open_device(u"Sluice", device), nt::success);
    return device;
  }
};

// As CloseHandle: whoever comes next does not find the one before.
TEST_F(socket_system_test, a_handle_is_closed_there_when_it_was_closed_here) {
  const auto system = connect_system(path);
  std::vector<uint8_t> buffer(protocol::min_read_bytes);
  for (int i = 0; i < 100; ++i) {
    const std::unique_ptr<nt_device> reader = open_device(*system);  // one at a time may read
    uint64_t bytes = 0;
    const nt_status status = reader->read(buffer, bytes, milliseconds(0));
    ASSERT_TRUE(status == nt::success || status == nt::timeout) << std::hex << status << " at " << i;
  }
}

TEST_F(socket_system_test, a_device_gives_every_event_and_the_accounts_agree) {
  device_source source(connect(), u"Sluice");
  event_stream stream(source);
  load_images(5000);
  ASSERT_TRUE(test::drain(stream, source));
  EXPECT_EQ(stream.account().received_of(event_type_image_load), 5000u);
  EXPECT_EQ(stream.account().check(source.statistics(), nullptr), std::vector<std::string>());
}

TEST_F(socket_system_test, a_port_gives_every_event_and_the_accounts_agree) {
  port_source source(connect(), {});
  event_stream stream(source);
  load_images(5000);
  ASSERT_TRUE(test::drain(stream, source));
  EXPECT_EQ(stream.account().received_of(event_type_image_load), 5000u);
  EXPECT_EQ(stream.account().check(source.statistics(), nullptr), std::vector<std::string>());
}

TEST_F(socket_system_test, the_kernel_sees_this_process) {
  port_source source(connect(), {.name = "mine"});
  const auto rows = source.clients();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].pid, static_cast<uint32_t>(::getpid()));
}

TEST_F(socket_system_test, a_read_without_events_ends_at_its_time_or_when_it_is_cancelled) {
  const auto device = open_device(*connect());
  std::vector<uint8_t> buffer(protocol::min_read_bytes);
  uint64_t bytes = 0;
  ASSERT_EQ(device->read(buffer, bytes, patience), nt::success);  // the anchor
  EXPECT_EQ(device->read(buffer, bytes, milliseconds(1)), nt::timeout);
  EXPECT_EQ(device->read(buffer, bytes, milliseconds(0)), nt::timeout);
  std::atomic<bool> ended{false};
  std::thread cancelling([&] {
    while (!ended) {  // until it has met the read
      device->cancel();
      std::this_thread::sleep_for(milliseconds(1));
    }
  });
  EXPECT_EQ(device->read(buffer, bytes, std::nullopt), nt::cancelled);
  ended = true;
  cancelling.join();
}

TEST_F(socket_system_test, threads_that_share_a_handle_each_get_their_own_answer) {
  const auto device = open_device(*connect());
  std::atomic<bool> ended{false};
  std::thread reading([&] {
    std::vector<uint8_t> buffer(protocol::min_read_bytes);
    while (!ended) {
      uint64_t bytes = 0;
      const nt_status status = device->read(buffer, bytes, std::nullopt);
      if (status != nt::success && status != nt::cancelled) ADD_FAILURE() << std::hex << status;
    }
  });
  std::vector<std::thread> asking;
  for (uint32_t i = 0; i < 4; ++i) {
    asking.emplace_back([&, i] {
      for (uint32_t n = 0; n < 200; ++n) {
        uint64_t bytes = 0;
        std::vector<uint8_t> out(i % 2 == 0 ? sizeof(protocol::capabilities) : 16384);
        const nt_status status = device->control(i % 2 == 0 ? protocol::code_capabilities : protocol::code_statistics, {}, out,
                                                 bytes, std::nullopt);
        ASSERT_EQ(status, nt::success);
        uint32_t version = 0;
        ASSERT_GE(bytes, sizeof version);
        std::memcpy(&version, out.data(), sizeof version);
        ASSERT_EQ(version, protocol::version);
        if (i == 0) load_images(1);
      }
    });
  }
  for (std::thread& each : asking) each.join();
  ended = true;
  std::atomic<bool> read{false};
  std::thread cancelling([&] {
    while (!read) {
      device->cancel();
      std::this_thread::sleep_for(milliseconds(1));
    }
  });
  reading.join();
  read = true;
  cancelling.join();
}

TEST_F(socket_system_test, what_is_not_there_is_said_so) {
  std::unique_ptr<nt_device> device;
  std::unique_ptr<nt_port> port;
  const auto system = connect();
  EXPECT_EQ(system->open_device(u"Nothing", device), nt::object_name_not_found);
  EXPECT_EQ(system->connect_port(u"\\Nothing", {}, port), nt::object_name_not_found);
  EXPECT_EQ(device, nullptr);
  EXPECT_EQ(port, nullptr);
  protocol::port_context newer = context("newer");
  newer.version = protocol::version + 1;
  EXPECT_EQ(system->connect_port(protocol::port_name, {reinterpret_cast<const uint8_t*>(&newer), sizeof newer}, port),
            nt::revision_mismatch);
  EXPECT_THROW(connect_system(directory.path() + "/nobody"), source_error);
}

TEST_F(socket_system_test, names_and_contexts_longer_than_there_are_are_refused) {
  const auto system = connect();
  std::unique_ptr<nt_device> device;
  std::unique_ptr<nt_port> port;
  const std::u16string long_name(wire::max_name_bytes / sizeof(char16_t) + 1, u'n');
  EXPECT_EQ(system->connect_port(long_name, {}, port), nt::object_name_invalid);
  EXPECT_EQ(system->connect_port(protocol::port_name, std::vector<uint8_t>(wire::max_context_bytes + 1), port), nt::invalid_parameter);
  EXPECT_EQ(system->open_device(long_name, device), nt::object_name_invalid);
  EXPECT_EQ(system->open_device(std::u16string(wire::max_frame_bytes, u'n'), device), nt::object_name_invalid);
  EXPECT_EQ(device, nullptr);
  EXPECT_EQ(port, nullptr);
  EXPECT_EQ(connect_port(*system, port), nt::success) << "and nothing has happened to the machine";
}

TEST_F(socket_system_test, a_closed_handle_is_closed_in_the_kernel) {
  const auto system = connect();
  std::unique_ptr<nt_port> port;
  ASSERT_EQ(connect_port(*system, port), nt::success);
  auto device = open_device(*system);
  EXPECT_EQ(machine.in_use().filter_connections, 1u);
  EXPECT_EQ(machine.unload_driver("sluice"), STATUS_DEVICE_BUSY);
  device.reset();
  port.reset();
  eventually([&] { return machine.in_use().filter_connections == 0; });
  eventually([&] { return host->connections() == 0; });
  EXPECT_EQ(machine.unload_driver("sluice"), STATUS_SUCCESS);
  loaded = false;
}

TEST_F(socket_system_test, a_driver_that_unloads_disconnects_its_clients) {
  std::unique_ptr<nt_port> port;
  const auto system = connect();
  ASSERT_EQ(connect_port(*system, port), nt::success);
  std::thread unloading([&] { EXPECT_EQ(machine.unload_driver("sluice"), STATUS_SUCCESS); });
  loaded = false;
  std::vector<uint8_t> buffer(protocol::message_header_bytes + protocol::min_read_bytes);
  uint64_t bytes = 0;
  nt_status status;
  do {
    status = port->get_message(buffer, bytes, std::nullopt);
  } while (status == nt::success);
  EXPECT_TRUE(status == nt::port_disconnected || status == nt::invalid_handle) << std::hex << status;
  unloading.join();
  EXPECT_EQ(connect_port(*system, port), nt::object_name_not_found);
}

TEST_F(socket_system_test, a_host_that_goes_is_a_status_for_every_waiting_thread) {
  const auto system = connect();
  std::unique_ptr<nt_port> port;
  ASSERT_EQ(connect_port(*system, port), nt::success);
  const auto device = open_device(*system);
  std::vector<std::thread> waiting;
  std::atomic<uint32_t> started{0};
  for (uint32_t i = 0; i < 3; ++i) {
    waiting.emplace_back([&] {
      std::vector<uint8_t> buffer(protocol::message_header_bytes + protocol::min_read_bytes);
      uint64_t bytes = 0;
      ++started;
      nt_status status;
      do {
        status = port->get_message(buffer, bytes, std::nullopt);
      } while (status == nt::success);
      EXPECT_EQ(status, nt::port_disconnected) << std::hex << status;
    });
  }
  eventually([&] { return started == 3; });
  host.reset();
  for (std::thread& each : waiting) each.join();
  std::vector<uint8_t> buffer(protocol::min_read_bytes);
  uint64_t bytes = 0;
  EXPECT_EQ(device->read(buffer, bytes, std::nullopt), nt::device_removed);
  EXPECT_EQ(device->read(buffer, bytes, milliseconds(0)), nt::device_removed);
  EXPECT_EQ(port->send({}, {}, bytes), nt::port_disconnected);
  std::unique_ptr<nt_device> another;
  EXPECT_EQ(system->open_device(u"Sluice", another), nt::object_name_not_found);
}

TEST_F(socket_system_test, the_counter_is_the_machines_own_also_when_it_moves) {
  const auto system = connect();
  const auto machine_counter = [] { return static_cast<uint64_t>(KeQueryPerformanceCounter(nullptr).QuadPart); };
  for (const int64_t by : {int64_t{0}, int64_t{3'600'0000000}, int64_t{-7'200'0000000}}) {
    machine.move_counter(by);
    const uint64_t before = machine_counter();
    const uint64_t between = system->counter();
    const uint64_t after = machine_counter();
    EXPECT_LE(before, between);
    EXPECT_LE(between, after);
  }
  machine.stop_counter();
  EXPECT_EQ(system->counter(), machine_counter());
  machine.run_counter();
}

TEST(socket_name, of_a_machine_is_looked_up_where_the_user_has_it) {
  ::setenv("SLUICE_RUNTIME_DIR", "/run/somewhere", 1);
  EXPECT_EQ(socket_path("web-1"), "/run/somewhere/web-1.socket");
  EXPECT_EQ(socket_path("./web"), "./web");
  ::unsetenv("SLUICE_RUNTIME_DIR");
  for (const char* const bad : {"", ".", "-x", "a b", "a\n"}) EXPECT_THROW(socket_path(bad), std::invalid_argument) << bad;
}

TEST(socket_name, of_a_host_has_a_directory_that_nobody_else_enters) {
  const test::temporary_directory above;
  const std::string directory = above.path() + "/sluice";
  ::setenv("SLUICE_RUNTIME_DIR", directory.c_str(), 1);
  EXPECT_EQ(make_socket_path("web"), directory + "/web.socket");
  EXPECT_EQ(::chmod(directory.c_str(), 0755), 0);
  EXPECT_THROW(make_socket_path("web"), std::runtime_error);
  ::unsetenv("SLUICE_RUNTIME_DIR");
  ::rmdir(directory.c_str());
}

}  // namespace
}  // namespace sluice
