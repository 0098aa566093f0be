// The one seam through which every decision passes about who runs when: blocking and waking, the handover of
// a virtual CPU, the start of a DPC, points of preemption. Free-running by default: the host decides. With a
// seed, every point may yield, delay, or move the thread to another virtual CPU, by a pseudo-random sequence
// of the thread's own.
//
// Nothing in the simulation blocks or wakes except through wait() and wake() (its short internal locks
// aside), so that a scheduler that lets one thread run at a time can stand behind this class without a change
// elsewhere.
#pragma once

#include <chrono>
#include <optional>

#include "kernel_port/sim/thread_state.h"

namespace sluice::sim {

enum class point_kind : uint8_t {
  raise,         // about to own a virtual CPU
  lower,         // has just given one back
  leave_region,  // APCs have just become possible
  dpc,           // about to run a DPC
  wait,          // about to look at dispatcher objects
  wake,          // about to signal one
  callback,      // about to call a notify routine
  dispatch,      // about to call a driver's dispatch routine
  clock,         // has read the performance counter: an interrupt may come before the value is used
  spin,          // turning in a loop that another thread must end
};

using deadline = std::chrono::steady_clock::time_point;

class scheduler {
 public:
  void start(uint64_t seed);
  void stop();
  bool perturbs() const { return seed_ != 0; }
  uint64_t seed() const { return seed_; }

  // A place where the host's scheduler, or the seed's, may choose another thread.
  void point(point_kind kind) {
    if (perturbs()) [[unlikely]]
      perturb(kind);
    if (kind == point_kind::spin) yield();
  }

  // Blocks the calling thread until wake(its parker), the deadline, or for no reason: callers look at their
  // condition again. False if the deadline has passed.
  bool wait(parker& own, std::optional<deadline> until = {});
  void wake(parker& other);

  // A choice that the real kernel leaves open: true once in `n` when perturbing, never otherwise.
  bool chance(uint32_t n);

 private:
  void perturb(point_kind kind);
  void yield();
  uint64_t next_random();

  uint64_t seed_ = 0;
  std::atomic<uint64_t> threads_seen_{0};
};

// Of the one machine. Outlives it, so that a late wake is harmless.
extern scheduler the_scheduler;

}  // namespace sluice::sim
