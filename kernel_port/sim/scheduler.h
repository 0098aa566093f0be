// The one seam through which every decision passes about who runs when: blocking and waking, the handover of
// a virtual CPU, the start of a DPC, points of preemption. Free-running by default: the host decides. With a
// seed, every point may yield, delay, or move the thread to another virtual CPU, by a pseudo-random sequence
// of the thread's own.
//
// Nothing in the simulation blocks or wakes except through wait() and wake() (its short internal locks aside), or reads the host's
// clock except through now(): so one thread can be let run at a time, and everything follow from the seed (turns.h).
#pragma once

#include <chrono>
#include <optional>
#include <utility>

#include "kernel_port/sim/thread_state.h"
#include "kernel_port/sim/turns.h"

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
  access,        // about to touch what others may touch (a build that says so: tests/deterministic)
};

class scheduler {
 public:
  void start(uint64_t seed);
  // One thread at a time (one_at_a_time, below).
  void take_turns(bool on) { takes_turns_ = on; }
  bool takes_turns() const { return takes_turns_; }
  turns& the_turns() { return turns_; }
  void stop();
  bool perturbs() const { return seed_ != 0; }
  uint64_t seed() const { return seed_; }

  // A place where the host's scheduler, or the seed's, may choose another thread.
  void point(point_kind kind) {
    if (takes_turns_) [[unlikely]]
      return take_turn(kind);
    if (perturbs()) [[unlikely]]
      perturb(kind);
    if (kind == point_kind::spin) yield();
  }

  // Blocks the calling thread until wake(its parker), the deadline, or for no reason: callers look at their
  // condition again. False if the deadline has passed.
  bool wait(parker& own, std::optional<deadline> until = {});
  void wake(parker& other);

  // By the host's monotonic clock, or the machine's own.
  deadline now() const { return takes_turns_ ? turns_.now() : std::chrono::steady_clock::now(); }

  // A choice that the real kernel leaves open: true once in `n` when perturbing, never otherwise.
  bool chance(uint32_t n);

 private:
  void perturb(point_kind kind);
  void take_turn(point_kind kind);
  void migrate_sometimes(uint64_t random);
  void yield();
  uint64_t next_random();

  uint64_t seed_ = 0;
  bool takes_turns_ = false;
  turns turns_;
  std::atomic<uint64_t> threads_seen_{0};
};

// Of the one machine. Outlives it, so that a late wake is harmless.
extern scheduler the_scheduler;

// While it lives, threads run one at a time and the machine's time is its own; begun before a machine is switched on, ended after
// it is switched off, by the thread that does both.
class one_at_a_time {
 public:
  one_at_a_time(uint64_t seed, uint64_t most_points, turns::observer observe, turns::failure fail) {
    the_scheduler.take_turns(true);
    the_scheduler.the_turns().start(seed, most_points, std::move(observe), std::move(fail));
  }
  ~one_at_a_time() {
    the_scheduler.the_turns().stop();
    the_scheduler.take_turns(false);
  }
  one_at_a_time(const one_at_a_time&) = delete;
  one_at_a_time& operator=(const one_at_a_time&) = delete;
};

}  // namespace sluice::sim
