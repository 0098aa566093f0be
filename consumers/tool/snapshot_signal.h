// SIGUSR1 as something to wait for: somebody wants a snapshot. Make one before any other thread is started: the signal is
// blocked in this thread and in all that come after it. Signals that come before one was taken are one.
#pragma once

#include <csignal>

namespace sluice::tool {

class snapshot_signal {
 public:
  snapshot_signal();
  ~snapshot_signal();
  snapshot_signal(const snapshot_signal&) = delete;
  snapshot_signal& operator=(const snapshot_signal&) = delete;

  // Readable when the signal has come.
  int descriptor() const { return descriptor_; }
  // Takes one; false: none has come.
  bool take() const;

 private:
  sigset_t previous_mask_{};
  int descriptor_;  // signalfd
};

}  // namespace sluice::tool
