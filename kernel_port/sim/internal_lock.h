// The simulation's own locks. They stand for nothing on NT: they are held for a few instructions, at any
// IRQL, and a thread is never suspended while it holds one (its suspension is delivered when it leaves the
// last).
//
// Order, outermost first: driver list, notify registry, process table, dispatcher, processor, pool, parker.
#pragma once

#include <mutex>

#include "kernel_port/sim/thread_state.h"

namespace sluice::sim {

// While one of these lives, the thread is inside the simulation and cannot be suspended.
class internal_section {
 public:
  internal_section() {
    self().inside += 1;
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  ~internal_section() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    thread_state& thread = self();
    thread.inside -= 1;
    deliver_requests_if_any(thread);
  }
  internal_section(const internal_section&) = delete;
  internal_section& operator=(const internal_section&) = delete;
};

using internal_mutex = std::mutex;

class internal_lock {
 public:
  explicit internal_lock(internal_mutex& mutex) : lock_(mutex) {}
  void unlock() { lock_.unlock(); }
  void lock() { lock_.lock(); }

 private:
  internal_section section_;  // destroyed after the lock is gone
  std::unique_lock<internal_mutex> lock_;
};

}  // namespace sluice::sim
