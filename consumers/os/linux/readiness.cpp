#include "consumers/os/readiness.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

namespace sluice::os {

readiness::readiness() : handle_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (handle_ < 0) throw std::system_error(errno, std::generic_category(), "a descriptor to wait for events");
}

readiness::~readiness() { ::close(handle_); }

// Neither can fail for want of room: any count above 0 is ready, and 0 is not.
void readiness::show(bool ready) {
  uint64_t count = 1;
  if (ready) {
    (void)!::write(handle_, &count, sizeof count);
  } else {
    (void)!::read(handle_, &count, sizeof count);
  }
}

}  // namespace sluice::os
