// Timers: one host thread for all of them, started by the first and asleep until the next is due.
#pragma once

#include "kernel_port/sim/dispatcher.h"
#include "kernel_port/sim/scheduled_thread.h"

namespace sluice::sim {

class timer_queue {
 public:
  ~timer_queue();

  // True if the timer was set already.
  bool set(KTIMER& timer, LARGE_INTEGER due, LONG period, KDPC* dpc);
  bool cancel(KTIMER& timer);
  void stop();
  uint64_t count();
  KTIMER* find_of(const driver_record* driver, bool any = false);
  KTIMER* find_in(const void* start, size_t length);

 private:
  void run();
  void insert(KTIMER& timer);
  void expire(KTIMER& timer);

  // Guarded by dispatcher_mutex.
  LIST_ENTRY timers_{&timers_, &timers_};  // by due time
  std::atomic<uint64_t> count_{0};
  bool started_ = false;
  bool stops_ = false;
  scheduled_thread thread_;
  parker park_;
};

}  // namespace sluice::sim
