// The machine under the model: scheduling steps, the clock, the barriers, the event that a consumer sleeps
// on.
//
// What is a step. Before each access to a shared word, clock read, fence and event operation the search may
// go on with another thread. A relaxed store is no step of its own: nothing but a load of the same word could
// tell the two orders apart, and that load may return the older value anyway. (Where two threads store to one word
// without order, which nothing in pipeline/ does, a scenario has to put a step between.)
//
// The clock is no atomic word. It is monotone and never stale, as a machine's counter is, yet orders nothing:
// no happens-before comes from reading it, with or without fences around. A thread's clock may be ahead by a
// tick.
//
// The barrier of design.md's merge in both of its forms:
//   fences     a sequentially consistent fence on both sides
//   interrupt  the producer executes nothing. The consumer requests; each producer's pending stores become
//   visible at
//              whichever of its steps comes next (a thread that is finished, or has not begun, as well); the
//              consumer waits for all of them.
// Build switches leave one side out, to show that a scenario then fails: SLUICE_MODEL_NO_LIGHT_FENCE,
// SLUICE_MODEL_NO_HEAVY_FENCE, SLUICE_MODEL_NO_INTERRUPT, SLUICE_MODEL_INTERRUPT_NOT_AWAITED,
// SLUICE_MODEL_INTERRUPT_WITHOUT_FENCE.
//
// One simulated execution at a time, in one thread of the process.
#pragma once

#include <stdint.h>

#include "tests/model/relacy_library.h"

namespace sluice::model {

inline constexpr int max_threads = 4;

enum class barrier_kind : uint32_t { none, fences, interrupt };

struct machine_state {
  barrier_kind barriers = barrier_kind::none;
  int threads = 0;
  uint64_t time = 0;
  bool coarse_clock = false;         // a read may show the tick of the read before
  uint32_t ahead[max_threads] = {};  // ticks by which this thread's clock is ahead
  bool interrupted[max_threads] = {};
  bool idle[max_threads] = {};  // finished, or asleep
  int requester = -1;  // waits until nobody is interrupted any more
};
inline machine_state machine;

// Begins an execution.
inline void reset_machine(barrier_kind barriers, int threads) {
  machine = machine_state{};
  machine.barriers = barriers;
  machine.threads = threads;
}

class no_preemption {
 public:
  no_preemption() { rl::ctx().disable_preemption(); }
  ~no_preemption() { rl::ctx().enable_preemption(); }
  no_preemption(const no_preemption&) = delete;
  no_preemption& operator=(const no_preemption&) = delete;
};

inline void note(const char* text, rl::debug_info_param where) {
  if (rl::ctx().collecting_history()) rl::ctx().exec_log_msg(where, text);
}

inline void full_fence(rl::debug_info_param where) {
  const no_preemption guard;
  rl::atomic_thread_fence(rl::mo_seq_cst, where);
}

inline bool nobody_interrupted() {
  for (int i = 0; i < machine.threads; ++i) {
    if (machine.interrupted[i]) return false;
  }
  return true;
}

// The interrupt, between two instructions of the thread it was sent to.
inline void take_interrupt(rl::debug_info_param where) {
  const int self = rl::ctx().current_thread();
  if (!machine.interrupted[self]) return;
  machine.interrupted[self] = false;
  note("interrupted", where);
#ifndef SLUICE_MODEL_INTERRUPT_WITHOUT_FENCE
  full_fence(where);
#endif
  if (machine.requester >= 0 && nobody_interrupted()) {
    const int requester = machine.requester;
    machine.requester = -1;
    rl::ctx().unpark_thread(requester, false, where);
  }
}

inline void step(rl::debug_info_param where) {
  rl::ctx().sched();
  take_interrupt(where);
}

// Stands around the body of each thread of a scenario.
class running_thread {
 public:
  running_thread() = default;
  ~running_thread() {
    take_interrupt(RL_INFO);
#ifndef SLUICE_MODEL_INTERRUPT_WITHOUT_FENCE
    // A CPU takes the interrupt although this thread is done; all that it can do then is to make its last
    // stores visible.
    if (machine.barriers == barrier_kind::interrupt) full_fence(RL_INFO);
#endif
    machine.idle[rl::ctx().current_thread()] = true;
  }
  running_thread(const running_thread&) = delete;
  running_thread& operator=(const running_thread&) = delete;
};

// Light side: what stands between a producer's store and the load or clock read after it.
inline void light_barrier(rl::debug_info_param where) {
#ifndef SLUICE_MODEL_NO_LIGHT_FENCE
  if (machine.barriers == barrier_kind::fences) {
    step(where);
    full_fence(where);
  }
#else
  (void)where;
#endif
}

// Heavy side: the consumer's barrier on every CPU, as exact_order takes it.
struct heavy_barrier {
  void operator()() const {
    if (machine.barriers == barrier_kind::fences) {
#ifndef SLUICE_MODEL_NO_HEAVY_FENCE
      step(RL_INFO);
      full_fence(RL_INFO);
#endif
    } else if (machine.barriers == barrier_kind::interrupt) {
#ifndef SLUICE_MODEL_NO_INTERRUPT
      interrupt_all();
#endif
    }
  }

 private:
  static void interrupt_all() {
    step(RL_INFO);
    const int self = rl::ctx().current_thread();
    full_fence(RL_INFO);  // what this thread did before is visible to whoever is interrupted
    for (int i = 0; i < machine.threads; ++i) machine.interrupted[i] = i != self && !machine.idle[i];
    note("interrupts all", RL_INFO);
#ifndef SLUICE_MODEL_INTERRUPT_NOT_AWAITED
    if (!nobody_interrupted()) {
      machine.requester = self;
      rl::ctx().park_current_thread(false, false, false, RL_INFO);
    }
#endif
    full_fence(RL_INFO);  // and what they did before is visible to this thread
  }
};

// What a producer's CPU or the consumer's reads its time from: pipeline/cpu_rings.h, pipeline/merge.h.
struct model_clock {
  uint64_t now() {
    step(RL_INFO);
    if (!machine.coarse_clock || rl::rand(2) == 0) ++machine.time;
    note("reads the clock", RL_INFO);
    return machine.time + machine.ahead[rl::ctx().current_thread()];
  }
};

// An event that stays set until the sleeper has seen it. It orders what came before `set` before what follows
// `wait`, as every kernel's does.
class sticky_event {
 public:
  sticky_event() { order_.store(0, rl::mo_relaxed, RL_INFO); }

  void set() {
    step(RL_INFO);
    exchange_order();
    is_set_ = true;
    if (sleeper_ >= 0) {
      const int sleeper = sleeper_;
      sleeper_ = -1;
      machine.idle[sleeper] = false;
      rl::ctx().unpark_thread(sleeper, false, RL_INFO);
    }
  }
  void wait() {
    step(RL_INFO);
    if (!is_set_) {
      const int self = rl::ctx().current_thread();
      sleeper_ = self;
      // Whoever sleeps holds no CPU: its last stores are visible to an interrupt that finds nobody to ask.
      if (machine.barriers == barrier_kind::interrupt) full_fence(RL_INFO);
      machine.idle[self] = true;
      rl::ctx().park_current_thread(false, false, false, RL_INFO);
    }
    is_set_ = false;
    exchange_order();
  }

 private:
  void exchange_order() {
    const no_preemption guard;
    order_.fetch_add(1, rl::mo_acq_rel, RL_INFO);
  }

  rl::atomic<uint32_t> order_;
  bool is_set_ = false;
  int sleeper_ = -1;
};

}  // namespace sluice::model
