#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>
#include <thread>

#include "consumers/tool/stop_signals.h"

namespace sluice::tool {
namespace {

constexpr int stopping_signals[] = {SIGINT, SIGTERM, SIGHUP};

}  // namespace

class stop_signals::receiver {
 public:
  explicit receiver(stop_signals& of) : of_(of) {
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
    thread_ = std::thread(&receiver::wait, this);
  }
  ~receiver() {
    const uint64_t one = 1;
    (void)!::write(end_, &one, sizeof one);
    thread_.join();
    ::close(signals_);
    ::close(end_);
    pthread_sigmask(SIG_SETMASK, &previous_mask_, nullptr);
  }
  receiver(const receiver&) = delete;
  receiver& operator=(const receiver&) = delete;

 private:
  void wait() {
    for (;;) {
      pollfd ready[2] = {{signals_, POLLIN, 0}, {end_, POLLIN, 0}};
      if (::poll(ready, 2, -1) < 0) continue;  // EINTR
      if (ready[1].revents != 0) return;
      signalfd_siginfo info;
      if (::read(signals_, &info, sizeof info) != sizeof info) continue;
      const int signal = static_cast<int>(info.ssi_signo);
      if (of_.ask(signal)) continue;
      std::signal(signal, SIG_DFL);
      sigset_t set;
      sigemptyset(&set);
      sigaddset(&set, signal);
      ::kill(::getpid(), signal);
      pthread_sigmask(SIG_UNBLOCK, &set, nullptr);  // it is delivered here
    }
  }

  stop_signals& of_;
  sigset_t previous_mask_{};
  int signals_ = -1;  // signalfd
  int end_ = -1;      // eventfd: the destructor
  std::thread thread_;
};

stop_signals::stop_signals() : receiver_(std::make_unique<receiver>(*this)) {}
stop_signals::~stop_signals() = default;

}  // namespace sluice::tool
