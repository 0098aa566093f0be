// SIGINT, SIGTERM and SIGHUP as a flag: the first asks the run to end, the second ends the process at once, as the signal
// would have. Signals that were ignored when the process started (nohup) stay ignored.
//
// Make one before any other thread is started: the signals are blocked in this thread and in all that come after it.
#pragma once

#include <atomic>
#include <csignal>
#include <thread>

namespace sluice::tool {

class stop_signals {
 public:
  stop_signals();
  ~stop_signals();
  stop_signals(const stop_signals&) = delete;
  stop_signals& operator=(const stop_signals&) = delete;

  // The signal that asked for the end; 0: none yet. Any thread.
  int requested() const { return requested_.load(std::memory_order_relaxed); }  // a flag; nothing is read behind it

 private:
  void wait();

  sigset_t previous_mask_{};
  int signals_ = -1;  // signalfd
  int end_ = -1;      // eventfd: the destructor
  std::atomic<int> requested_{0};
  std::thread thread_;
};

}  // namespace sluice::tool
