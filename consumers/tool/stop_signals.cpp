#include "consumers/tool/stop_signals.h"

namespace sluice::tool {

void stop_signals::wait_until(std::optional<std::chrono::steady_clock::time_point> until) {
  std::unique_lock lock(mutex_);
  const auto asked = [this] { return requested() != 0; };
  if (until) {
    changed_.wait_until(lock, *until, asked);
  } else {
    changed_.wait(lock, asked);
  }
}

stop_signals::listener::listener(stop_signals& signals, std::function<void()> asked) : signals_(signals) {
  const std::lock_guard lock(signals_.mutex_);
  signals_.asked_ = std::move(asked);
}

stop_signals::listener::~listener() {
  const std::lock_guard lock(signals_.mutex_);
  signals_.asked_ = nullptr;
}

bool stop_signals::ask(int signal) {
  int none = 0;
  // Relaxed: see requested().
  if (!requested_.compare_exchange_strong(none, signal, std::memory_order_relaxed)) return false;
  const std::lock_guard lock(mutex_);  // whoever looked before sleeps by now
  changed_.notify_all();
  if (asked_) asked_();
  return true;
}

}  // namespace sluice::tool
