// A recording of another machine, raised on a simulated NT kernel: process, thread, image and registry events of a file in
// JSON Lines, through the notify routines that the kernel calls. docs/replay.md says what becomes of what.
//
//   file --> [ repaired_recording --> raise_plan ] --> lanes: host threads, each raising the events of its processes
//              dispatcher: keeps the time             on the virtual CPUs that the plan says
//
// start, stop and the destructor: one thread. The rest: any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernel_port/sim/machine.h"
#include "kernel_port/sources/replay/raise_plan.h"
#include "kernel_port/sources/replay/repaired_recording.h"

namespace sluice::replay {

struct replay_options {
  std::string path;
  double speed = 1;   // times the recorded speed; 0: flat out
  uint64_t seed = 1;  // of the choice of CPUs
  // Flat out: called with every lane at rest, before a CPU has raised more than `burst_bytes` since the last call. Returns
  // when everything has been read by whoever reads; false: nobody reads any more. None: no back-pressure.
  std::function<bool()> wait_until_read = {};
  uint64_t burst_bytes = 0;
  // While the file is looked through, before start(). False gives up.
  std::function<bool(const reading_progress&)> watch = {};
};

struct replay_counts {
  repair_counts repair;
  plan_counts plan;
  std::vector<std::string> hosts;
  uint64_t raised[event_kinds] = {};
  uint64_t refused = 0;       // by the machine: an id in use, the System process, ...
  uint64_t cut_pauses = 0;    // longer than ten minutes of recorded time, cut to that
  uint64_t pauses_for_reader = 0;
  reading_progress progress;
};

class replay_source {
 public:
  // Looks the file through. Throws replay_error, std::system_error. The machine outlives the source.
  replay_source(const replay_options& options, sim::machine& machine);
  ~replay_source();  // stops
  replay_source(const replay_source&) = delete;
  replay_source& operator=(const replay_source&) = delete;

  void start();
  // No event is raised after it returns.
  void stop();
  bool finished() const;
  // Why it stands still before its end.
  std::optional<std::string> failure() const;
  replay_counts counts() const;
  // What is wrong with the file. Since the last call.
  std::vector<std::string> take_faults();

 private:
  class player;
  std::unique_ptr<player> player_;
};

}  // namespace sluice::replay
