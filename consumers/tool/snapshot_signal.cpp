#include "consumers/tool/snapshot_signal.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace sluice::tool {

snapshot_signal::snapshot_signal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &set, &previous_mask_);
  descriptor_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (descriptor_ < 0) throw std::system_error(errno, std::generic_category(), "waiting for SIGUSR1");
}

snapshot_signal::~snapshot_signal() {
  while (take()) {  // whoever asked too late would kill the process below
  }
  ::close(descriptor_);
  pthread_sigmask(SIG_SETMASK, &previous_mask_, nullptr);
}

bool snapshot_signal::take() const {
  signalfd_siginfo info;
  return ::read(descriptor_, &info, sizeof info) == sizeof info;
}

}  // namespace sluice::tool
