// Processes that hold handles: killed, stopped, somebody else's, ended; and a host that is killed. The others go on, and every account
// stays exact.
#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include <fltkernel.h>

#include "consumers/event_stream.h"
#include "consumers/port_source.h"
#include "kernel_port/driver/protocol.h"
#include "tests/consumers/hosted_machine.h"
#include "tests/consumers/peer_process.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using test::eventually;
using test::peer_process;

// A thousand where they are quick; what a sanitizer looks for shows in some.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint32_t kills = 40;
#else
constexpr uint32_t kills = 1000;
#endif

struct socket_process_test : test::hosted_machine {
  using hosted_machine::hosted_machine;

  raised_callbacks raised() const {
    const sim::raised_counts counts = sim::raised();
    return {{{event_type_process_create, counts.process_create},
             {event_type_process_exit, counts.process_exit},
             {event_type_image_load, counts.image_load}},
            ~uint64_t{0}};
  }
};

// A client that reads all the time, on a thread of its own, and its account.
class steady_client {
 public:
  explicit steady_client(std::shared_ptr<nt_system> system) : source_(std::move(system), {.name = "steady"}), stream_(source_) {
    thread_ = std::thread([this] {
      while (!stopping_) {
        if (stream_.next(milliseconds(20)) != nullptr) ++events_;
      }
    });
  }
  ~steady_client() { stop(); }

  uint64_t events() const { return events_; }
  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }
  // Stopped: reads what is left until everything adds up. The ends of processes may still be on their way to the machine: what it
  // has raised is asked for again each time. What never adds up ends the wait as a failure, and is shown.
  template <class raised_now>
  std::vector<std::string> conclude(raised_now&& raised) {
    std::vector<std::string> broken;
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    do {
      source_.flush();
      while (stream_.next(milliseconds(20)) != nullptr) {
      }
      const raised_callbacks so_far = raised();
      const driver_statistics driver = source_.statistics();
      broken = stream_.account().check(driver, &so_far);
      if (broken.empty() && !stream_.account().drained(driver)) broken.push_back("something did not come");
    } while (!broken.empty() && std::chrono::steady_clock::now() < limit);
    return broken;
  }
  port_source& source() { return source_; }
  const accounting& account() const { return stream_.account(); }

 private:
  port_source source_;
  event_stream stream_;
  std::atomic<bool> stopping_{false};
  std::atomic<uint64_t> events_{0};
  std::thread thread_;
};

// Something happens on the machine all the time.
class steady_load {
 public:
  explicit steady_load(test::hosted_machine& machine) {
    thread_ = std::thread([this, &machine] {
      while (!stopping_) {
        machine.load_images(50);
        std::this_thread::sleep_for(milliseconds(1));
      }
    });
  }
  ~steady_load() { stop(); }
  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

TEST_F(socket_process_test, clients_that_are_killed_at_any_moment_cost_nobody_anything) {
  const auto before = machine.in_use();
  {
    steady_client client(connect());
    steady_load load(*this);
    peer_process killer({"victims", path, std::to_string(kills), "1"});
    EXPECT_EQ(killer.join(), 0);
    load.stop();
    eventually([&] { return host->connections() == 1; });
    client.stop();
    EXPECT_EQ(client.conclude([&] { return raised(); }), std::vector<std::string>());
    EXPECT_EQ(client.source().clients().size(), 1u);
    EXPECT_GT(client.account().received_of(event_type_image_load), 0u);
  }
  eventually([&] { return host->connections() == 0; });
  const auto after = machine.in_use();
  EXPECT_EQ(after.filter_connections, before.filter_connections);
  EXPECT_EQ(after.system_threads, before.system_threads);
}

TEST_F(socket_process_test, a_client_that_is_stopped_holds_up_nobody) {
  steady_client client(connect());
  peer_process stalled({"stalled", path});
  {
    const steady_load load(*this);  // until it has had something
    ASSERT_EQ(stalled.line(), "read");
  }
  stalled.wait_until_stopped();
  // More than its queue and its socket hold.
  for (uint32_t round = 0; round < 200; ++round) {
    const uint64_t had = client.events();
    load_images(100);
    eventually([&] { return client.events() > had; });
  }
  // The host answers others meanwhile, about the stopped one too.
  bool lost = false;
  for (const auto& row : client.source().clients()) {
    EXPECT_EQ(row.offered, row.delivered + row.lost + row.waiting);
    if (std::string(row.name) == "stalled") lost = row.lost != 0;
  }
  EXPECT_TRUE(lost);
  stalled.kill();
  eventually([&] { return client.source().clients().size() == 1; });
  client.stop();
  EXPECT_EQ(client.conclude([&] { return raised(); }), std::vector<std::string>());
}

TEST_F(socket_process_test, the_end_of_a_process_is_an_event) {
  steady_client client(connect());
  const uint64_t before = sim::raised().process_exit;
  uint32_t pid;
  {
    peer_process stalled({"stalled", path});
    const steady_load load(*this);
    ASSERT_EQ(stalled.line(), "read");
    pid = static_cast<uint32_t>(stalled.pid());
    EXPECT_EQ(sim::add_existing_process({.pid = pid}), STATUS_INVALID_CID);  // the machine knows it
  }
  eventually([&] { return sim::raised().process_exit == before + 1; });
  client.stop();
  EXPECT_EQ(client.conclude([&] { return raised(); }), std::vector<std::string>());
  EXPECT_EQ(client.account().received_of(event_type_process_exit), 1u);
}

TEST_F(socket_process_test, another_user_is_not_let_in) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  const passwd* const nobody = ::getpwnam("nobody");
  ASSERT_NE(nobody, nullptr);
  const std::string user = std::to_string(nobody->pw_uid);
  const auto status_as = [&](const std::string& who) {
    peer_process peer({"status", path, who});
    const std::string status = peer.line();
    EXPECT_EQ(peer.join(), 0);
    return status;
  };
  // The directory keeps it away; where there is none that does, the host refuses by the user.
  EXPECT_EQ(status_as(user), "c0000022");
  ASSERT_EQ(::chmod(directory.path().c_str(), 0755), 0);
  EXPECT_EQ(status_as(user), "c0000022");
  EXPECT_EQ(status_as("0"), "00000000");
}

// The times of an image's events: base counts up, one by one.
TEST(socket_host, that_is_killed_is_a_status_after_all_that_had_come) {
  for (uint32_t round = 0; round < 5; ++round) {
    const test::temporary_directory directory;
    const std::string path = directory.path() + "/machine.socket";
    peer_process host({"host", path});
    ASSERT_EQ(host.line(), "serving");
    const auto system = connect_system(path);
    port_source source(system, {.name = "reader"});
    event_stream stream(source);
    uint64_t events = 0;
    bool killed = false;
    std::string why;
    try {
      while (true) {
        if (stream.next(milliseconds(100)) != nullptr) ++events;
        if (!killed && events > 500 * round) {
          host.kill();
          killed = true;
        }
      }
    } catch (const source_error& error) {
      why = error.what();
    }
    EXPECT_TRUE(killed) << why;
    EXPECT_NE(why, "");
    EXPECT_GT(events, 0u);
    std::unique_ptr<nt_device> device;
    EXPECT_EQ(system->open_device(u"Sluice", device), nt::object_name_not_found);
    EXPECT_EQ(stream.faulty_batches(), 0u);
    ::unlink(path.c_str());
  }
}

TEST_F(socket_process_test, a_driver_comes_and_goes_under_load_with_clients_that_come_and_go) {
  ASSERT_EQ(machine.unload_driver("sluice"), STATUS_SUCCESS);
  loaded = false;
  const auto before = machine.in_use();
  std::atomic<bool> stopping{false};
  std::atomic<uint64_t> read{0};
  std::vector<std::thread> clients;
  for (const bool by_port : {true, false}) {
    clients.emplace_back([&, by_port] {
      const auto system = connect();
      std::vector<uint8_t> buffer(protocol::message_header_bytes + protocol::min_read_bytes);
      while (!stopping) {
        uint64_t bytes = 0;
        if (by_port) {
          protocol::port_context about{protocol::port_context_magic, protocol::version, ~uint64_t{0}, 0, 0, "loader"};
          std::unique_ptr<nt_port> port;
          if (!succeeded(system->connect_port(protocol::port_name, {reinterpret_cast<const uint8_t*>(&about), sizeof about}, port))) continue;
          while (!stopping && port->get_message(buffer, bytes, milliseconds(50)) >= 0) ++read;
        } else {
          std::unique_ptr<nt_device> device;
          if (!succeeded(system->open_device(u"Sluice", device))) continue;
          if (device->read(buffer, bytes, milliseconds(1)) == nt::success) ++read;
        }
      }
    });
  }
  steady_load load(*this);
  for (uint32_t i = 0; i < kills; ++i) {
    ASSERT_EQ(machine.load_driver("sluice", &DriverEntry), STATUS_SUCCESS);
    if (i % 8 == 0) {
      const uint64_t had = read;
      eventually([&] { return read != had; });
    }
    eventually([&] { return machine.unload_driver("sluice") == STATUS_SUCCESS; });  // while no device handle is open
  }
  stopping = true;
  for (std::thread& each : clients) each.join();
  load.stop();
  eventually([&] { return host->connections() == 0; });
  const auto after = machine.in_use();
  EXPECT_EQ(after.pool_blocks, before.pool_blocks);
  EXPECT_EQ(after.system_threads, before.system_threads);
  EXPECT_EQ(after.devices, before.devices);
  EXPECT_EQ(after.symbolic_links, before.symbolic_links);
  EXPECT_EQ(after.filters, before.filters);
  EXPECT_EQ(after.filter_connections, before.filter_connections);
  EXPECT_EQ(after.notify_routines, before.notify_routines);
  EXPECT_EQ(after.callbacks, before.callbacks);
}

}  // namespace
}  // namespace sluice
