// The user's wish to stop as a flag: the first asks the run to end, the second ends the process at once, as the system would have.
// On Linux SIGINT, SIGTERM and SIGHUP; signals that were ignored when the process started (nohup) stay ignored. On Windows Ctrl-C,
// Ctrl-Break, and the end of the console, of the session or of the machine.
//
// One at a time, made before any other thread is started: on Linux the signals are blocked in this thread and in all that come after it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

namespace sluice::tool {

class stop_signals {
 public:
  stop_signals();
  ~stop_signals();
  stop_signals(const stop_signals&) = delete;
  stop_signals& operator=(const stop_signals&) = delete;

  // The signal that asked for the end (Windows: the control event, plus 1); 0: none yet. Any thread.
  int requested() const { return requested_.load(std::memory_order_relaxed); }  // a flag; nothing is read behind it
  // Until the end was asked for, or it is time; none: for ever. Wakes nobody meanwhile.
  void wait_until(std::optional<std::chrono::steady_clock::time_point> until);

  // While it lives, `asked` is called once the end is asked for, from another thread. One at a time.
  class listener {
   public:
    listener(stop_signals& signals, std::function<void()> asked);
    ~listener();
    listener(const listener&) = delete;
    listener& operator=(const listener&) = delete;

   private:
    stop_signals& signals_;
  };

 private:
  class receiver;  // of this system: stop_signals_linux.cpp, stop_signals_windows.cpp

  // False: it was asked for before.
  bool ask(int signal);

  std::atomic<int> requested_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> asked_;
  std::unique_ptr<receiver> receiver_;
};

}  // namespace sluice::tool
