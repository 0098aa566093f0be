// What is done with each event of a recording: which thread of the simulated machine it happens in, on which virtual CPU,
// what must have happened before, and what the machine must be told that the recording does not say.
//
// Every process has a lane of its own choosing among the lanes (host threads), and its events follow one another there. An
// event that concerns two processes (a creation, a remote thread) waits for the other process' lane, and holds up what
// that process does next. So whatever happens to a process happens in the order of the recording, on whichever CPUs.
// One thread.
#pragma once

#include <array>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "kernel_port/sources/replay/repaired_recording.h"

namespace sluice::replay {

// The `ticket`-th step of a lane, from 1. 0: nothing.
struct lane_step {
  uint32_t lane = 0;
  uint64_t ticket = 0;
};

struct planned_event {
  recorded_event event;
  uint32_t lane = 0;
  uint32_t cpu = 0;
  bool moves = false;            // what it must follow happened on another CPU: the clock must have ticked since
  uint32_t pid = 0, tid = 0;     // in which it happens
  uint32_t subject = 0;          // process that is created, exits, loads or gets a thread
  uint32_t parent = 0;
  bool subject_is_new = false;   // the machine must learn of it first, silently
  bool forget_subject = false;   // an earlier process of this id never ended in the recording
  std::vector<uint32_t> forget;  // the host was started anew, and everything before this is over: these were its processes
  std::array<lane_step, 3> after{};
};

struct plan_counts {
  uint64_t unknown_processes = 0;  // met without their creation
  uint64_t ids_used_again = 0;     // without an exit in between
  uint64_t restarts = 0;           // of a host
  uint64_t migrations = 0;         // of a process to another CPU
};

class raise_plan {
 public:
  raise_plan(uint32_t lanes, uint32_t cpus, uint64_t seed, const std::vector<std::string>& hosts);
  planned_event next(repaired_event&& event);
  const plan_counts& counts() const { return counts_; }
  // How many steps the lane has been given.
  uint64_t steps(uint32_t lane) const { return steps_[lane]; }

 private:
  struct process {
    uint32_t cpu = 0;
    uint32_t steps_here = 0;  // until it moves to another CPU
    lane_step held_by{};      // an event on another lane that concerned it
    bool moved = false;       // what concerned it last was on another CPU
  };
  uint32_t host_of(const std::string& name) const;
  uint32_t lane_of(uint32_t pid) const;
  process& find(uint32_t pid);
  void choose_cpu(process& acting, planned_event& planned);
  void note_boot(uint32_t host, const std::string& guid, planned_event& planned);
  void concern(planned_event& planned, uint32_t other);
  uint32_t random(uint32_t below);

  const uint32_t lanes_, cpus_;
  uint64_t seed_;
  const std::vector<std::string>& hosts_;
  std::vector<std::string> boots_;  // by host: the part of its GUIDs that changes when it is started
  std::vector<uint64_t> steps_;
  std::unordered_map<uint32_t, process> processes_;
  std::unordered_set<uint32_t> alive_;  // known to the machine
  plan_counts counts_;
};

}  // namespace sluice::replay
