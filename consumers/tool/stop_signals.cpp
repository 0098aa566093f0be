#include "consumers/tool/stop_signals.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace sluice::tool {
namespace {

constexpr int stopping_signals[] = {SIGINT, SIGTERM, SIGHUP};

}  // namespace

stop_signals::stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : stopping_signals) {
    // A blocked signal is queued even if it is ignored, so the ignored ones must stay out of the set.
    struct sigaction action {};
    if (sigaction(signal, nullptr, &action) == 0 && action.sa_handler != SIG_IGN) sigaddset(&set, signal);
  }
  pthread_sigmask(SIG_BLOCK, &set, &previous_mask_);
  signals_ = signalfd(-1, &set, SFD_CLOEXEC);
  end_ = eventfd(0, EFD_CLOEXEC);
  if (signals_ < 0 || end_ < 0) throw std::system_error(errno, std::generic_category(), "waiting for signals");
  thread_ = std::thread(&stop_signals::wait, this);
}

stop_signals::~stop_signals() {
  const uint64_t one = 1;
  (void)!::write(end_, &one, sizeof one);
  thread_.join();
  ::close(signals_);
  ::close(end_);
  pthread_sigmask(SIG_SETMASK, &previous_mask_, nullptr);
}

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

void stop_signals::tell() {
  const std::lock_guard lock(mutex_);  // whoever looked before sleeps by now
  changed_.notify_all();
  if (asked_) asked_();
}

void stop_signals::wait() {
  for (;;) {
    pollfd ready[2] = {{signals_, POLLIN, 0}, {end_, POLLIN, 0}};
    if (::poll(ready, 2, -1) < 0) continue;  // EINTR
    if (ready[1].revents != 0) return;
    signalfd_siginfo info;
    if (::read(signals_, &info, sizeof info) != sizeof info) continue;
    const int signal = static_cast<int>(info.ssi_signo);
    int none = 0;
    // Relaxed: see requested().
    if (requested_.compare_exchange_strong(none, signal, std::memory_order_relaxed)) {
      tell();
      continue;
    }
    std::signal(signal, SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    ::kill(::getpid(), signal);
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);  // it is delivered here
  }
}

}  // namespace sluice::tool
