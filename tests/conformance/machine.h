// A machine that a test runs on: the driver, what happens there, and how a client reaches its kernel.
//
// Any thread, but for load, unload and the destructor.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "consumers/nt/system.h"

namespace sluice::test {

enum class reach_kind {
  in_process,  // the simulated machine, in this process
  by_socket,   // the same, as another process would reach it
  windows,     // the kernel of this machine, which is Wine's with our substitutes (kernel_port/wine)
};

constexpr std::string_view name_of(reach_kind how) {
  switch (how) {
    case reach_kind::in_process: return "in_process";
    case reach_kind::by_socket: return "by_socket";
    case reach_kind::windows: return "on_windows";
  }
  return "unknown";
}

struct machine_choice {
  uint32_t ring_bytes = 1 << 20;
  bool maps = false;  // memory is shared with clients
};

class machine {
 public:
  virtual ~machine() = default;

  // The driver. False: what the kernel says against it has been said as a failure of the test.
  virtual bool load() = 0;
  virtual nt_status unload() = 0;
  // An open handle to the device keeps the driver, and unload says STATUS_DEVICE_BUSY, as Windows would.
  virtual bool open_handles_keep_the_driver() const = 0;

  virtual std::shared_ptr<nt_system> system() = 0;
  virtual uint32_t pid() const = 0;  // of the client, to the machine
  // Clients that the kernel still has; one that was closed here may be open there for a while.
  virtual uint32_t clients() = 0;

  virtual uint32_t cpus() const = 0;
  // Loads images in process `pid`: `count` of them, with bases from `first_base` on.
  virtual void load_images(uint64_t first_base, uint32_t count, uint32_t cpu, uint32_t pid) = 0;
  // Callbacks of image loads that the kernel raised while somebody was registered.
  virtual uint64_t raised_images() = 0;
};

// What this program was built for.
std::vector<reach_kind> all_reaches();
std::unique_ptr<machine> make_machine(reach_kind how, const machine_choice& what);

}  // namespace sluice::test
