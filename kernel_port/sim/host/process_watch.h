// Processes of this Linux machine that hold handles of the simulated one: it knows them from their first handle on, and is told of
// their end, as the kernel of a process that ends knows it, also if its handles live on in another process.
//
// A process that nobody had told the machine of becomes a process of it without a callback (add_existing_process), and its end is
// raised as any other's. One that the machine knew already is somebody else's to end.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "kernel_port/sim/host/descriptor.h"
#include "kernel_port/sim/machine.h"

namespace sluice::sim {

class process_watch {
 public:
  explicit process_watch(machine& machine);
  ~process_watch();  // those that still run are forgotten, without a callback
  process_watch(const process_watch&) = delete;
  process_watch& operator=(const process_watch&) = delete;

  // The process has connected, or one of its connections has ended. In pairs; any thread without an activity.
  void opened(uint32_t pid, wire::descriptor process);
  void closed(uint32_t pid);

 private:
  struct process {
    wire::descriptor descriptor;  // a pidfd
    uint32_t connections = 0;
    uint64_t last_use = 0;
  };
  void watch();
  void tell_of_end(uint32_t pid);
  std::optional<uint32_t> take_one_too_many();

  static constexpr size_t most_without_connections = 64;

  machine& machine_;
  const wire::descriptor events_;  // epoll: the pidfds
  const wire::descriptor end_;
  std::mutex mutex_;
  std::map<uint32_t, process> processes_;
  uint64_t uses_ = 0;
  std::thread thread_;
};

}  // namespace sluice::sim
