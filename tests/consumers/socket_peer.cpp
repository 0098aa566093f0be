// Processes for the tests of sockets: clients that are killed, stopped or somebody else's, and a host that is killed. What a test
// needs to know comes as lines on stdout.
//
//   socket_peer victims PATH COUNT SEED   clients, one after another, each killed at a random moment of its life
//   socket_peer stalled PATH              a client that has read once and then stops itself (SIGSTOP)
//   socket_peer status PATH USER          connects as that user; prints how opening the device and the port ended
//   socket_peer mapper PATH               has the pages of mapping_driver.h mapped, and waits
//   socket_peer bequeather PATH           the same; ends, and leaves the connection to a child, which ends with the connection
//   socket_peer host PATH                 serves a machine under load until it is killed
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>
#include <string>
#include <vector>

#include "consumers/event_source.h"
#include "consumers/nt/socket_link.h"
#include "consumers/nt/socket_system.h"
#include "kernel_port/driver/protocol.h"
#include "kernel_port/sim/host/machine_host.h"
#include "tests/consumers/mapping_driver.h"

extern "C" NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path);

namespace {

using namespace sluice;

protocol::port_context context_of(const char* name) {
  protocol::port_context made{protocol::port_context_magic, protocol::version, ~uint64_t{0}, protocol::port_order_merged, 0, {}};
  std::strncpy(made.name, name, sizeof made.name - 1);
  return made;
}

nt_status connect_port(nt_system& system, const char* name, std::unique_ptr<nt_port>& port) {
  const protocol::port_context about = context_of(name);
  return system.connect_port(protocol::port_name, {reinterpret_cast<const uint8_t*>(&about), sizeof about}, port);
}

// As a client that means well, until it is killed. Refusals are looked for again.
[[noreturn]] void live(const std::string& path, bool by_port) {
  std::vector<uint8_t> buffer(protocol::message_header_bytes + protocol::min_read_bytes);
  for (;;) {
    try {
      const auto system = connect_system(path);
      uint64_t bytes = 0;
      if (by_port) {
        std::unique_ptr<nt_port> port;
        if (!succeeded(connect_port(*system, "victim", port))) continue;
        while (succeeded(port->get_message(buffer, bytes, std::nullopt))) {
        }
      } else {
        std::unique_ptr<nt_device> device;
        if (!succeeded(system->open_device(u"Sluice", device))) continue;
        while (succeeded(device->read(buffer, bytes, std::nullopt))) {
        }
      }
    } catch (const source_error&) {
    }
  }
}

// This process has one thread: its children are made without another start of a program.
int victims(const std::string& path, uint32_t count, uint32_t seed) {
  std::mt19937 random(seed);
  for (uint32_t i = 0; i < count; ++i) {
    const pid_t child = ::fork();
    if (child < 0) return 1;
    if (child == 0) live(path, i % 2 == 0);
    // Many before they have connected, many in the middle of a batch.
    const timespec life{0, static_cast<long>(std::uniform_int_distribution<long>(0, 1 << std::uniform_int_distribution<int>(10, 22)(random))(random))};
    ::nanosleep(&life, nullptr);
    int how = 0;
    if (::kill(child, SIGKILL) != 0 || ::waitpid(child, &how, 0) != child || !WIFSIGNALED(how)) return 1;
  }
  return 0;
}

int stalled(const std::string& path) {
  const auto system = connect_system(path);
  std::unique_ptr<nt_port> port;
  if (!succeeded(connect_port(*system, "stalled", port))) return 1;
  std::vector<uint8_t> buffer(protocol::message_header_bytes + protocol::min_read_bytes);
  uint64_t bytes = 0;
  while (succeeded(port->get_message(buffer, bytes, std::nullopt))) {
    std::puts("read");
    std::fflush(stdout);
    ::raise(SIGSTOP);
  }
  return 0;
}

int status(const std::string& path, uid_t user) {
  if (::setgid(user) != 0 || ::setuid(user) != 0) return 1;
  std::unique_ptr<socket_link> link;
  wire::descriptor page;
  std::printf("%08x\n", static_cast<unsigned>(socket_link::connect(path, link, page)));
  return 0;
}

int mapper(const std::string& path, bool bequeaths) {
  const auto system = connect_system(path);
  std::unique_ptr<nt_device> device;
  if (!succeeded(system->open_device(u"Mapper", device))) return 1;
  test::mapped_pages pages{};
  uint64_t bytes = 0;
  if (!succeeded(device->control(test::code_map_pages, {}, {reinterpret_cast<uint8_t*>(&pages), sizeof pages}, bytes, std::nullopt))) {
    return 1;
  }
  std::puts("mapped");
  std::fflush(stdout);
  if (bequeaths) {
    const pid_t child = ::fork();
    if (child != 0) {
      std::puts("left");
      std::fflush(stdout);
      std::_Exit(child > 0 ? 0 : 1);  // the connection is the child's now
    }
    ::fclose(stdout);  // nobody waits for the end of its output
  }
  uint8_t nothing[1];
  while (device->control(0, {}, nothing, bytes, std::nullopt) != nt::device_removed) ::usleep(1000);
  return 0;
}

int host(const std::string& path) {
  sim::machine machine;
  if (machine.load_driver("sluice", &DriverEntry) != STATUS_SUCCESS) return 1;
  sim::machine_host served(machine, {.path = path});
  std::puts("serving");
  std::fflush(stdout);
  const sim::activity here(machine, 0, 4, 8);
  for (uint64_t i = 0;; ++i) {
    sim::load_image({.base = i, .path = u"\\Device\\HarddiskVolume1\\some.dll"});
    if (i % 64 == 0) {
      const timespec pause{0, 200'000};
      ::nanosleep(&pause, nullptr);
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  const std::vector<std::string> words(arguments + 1, arguments + count);
  try {
    if (words.size() == 4 && words[0] == "victims") {
      return victims(words[1], static_cast<uint32_t>(std::stoul(words[2])), static_cast<uint32_t>(std::stoul(words[3])));
    }
    if (words.size() == 2 && words[0] == "stalled") return stalled(words[1]);
    if (words.size() == 3 && words[0] == "status") return status(words[1], static_cast<uid_t>(std::stoul(words[2])));
    if (words.size() == 2 && words[0] == "mapper") return mapper(words[1], false);
    if (words.size() == 2 && words[0] == "bequeather") return mapper(words[1], true);
    if (words.size() == 2 && words[0] == "host") return host(words[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "socket_peer: %s\n", error.what());
  }
  return 1;
}
