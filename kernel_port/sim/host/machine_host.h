// The machine of this process, reached from others: a Unix stream socket on which each connection is a handle (connection.h). What
// is said there: docs/wire-format.md, "Framing".
//
// Who may connect follows the peer's credentials, as access follows the descriptor of a device: by default the user that this
// process runs as, and root. A port's own descriptor is asked besides. The others get STATUS_ACCESS_DENIED and nothing else.
//
// The machine outlives it. Drivers are loaded and unloaded while it serves, or not; a device with handles open does not unload.
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "kernel_port/sim/host/connection.h"
#include "kernel_port/sim/host/process_watch.h"

namespace sluice::sim {

struct host_options {
  std::string path;            // of the socket; a dead host's socket there is replaced
  uint32_t connections = 256;  // at a time; one more: STATUS_CONNECTION_COUNT_LIMIT
  connection_limits limits = {};
  // Whether the machine is told of the processes that connect. Not where their events drive it anyway.
  bool tells_of_processes = true;
  std::function<bool(uint32_t user)> allows = {};  // empty: the owner of this process, and root
};

class machine_host {
 public:
  // Serves when it returns. Throws std::system_error, std::invalid_argument (the path).
  machine_host(machine& machine, host_options options);
  ~machine_host();  // stops
  machine_host(const machine_host&) = delete;
  machine_host& operator=(const machine_host&) = delete;

  // Closes every handle, as the end of their processes would; nobody can connect any more. Not from an activity.
  void stop();

  uint32_t connections() const;
  // Handles that were opened since the start.
  uint64_t opened_handles() const;
  // Returns when the first handle was opened, or when `stop_waiting` says so after wake_waiting().
  void wait_for_handle(const std::function<bool()>& stop_waiting);
  void wake_waiting();

 private:
  struct served;
  void accept_all();
  void accept_one();
  void serve(served& one, wire::descriptor process);
  void join_ended();

  machine& machine_;
  const host_options options_;
  wire::descriptor listening_;
  wire::descriptor end_;
  process_spaces spaces_;
  std::unique_ptr<process_watch> processes_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::list<served> served_;
  uint64_t opened_handles_ = 0;
  std::thread thread_;
};

}  // namespace sluice::sim
