#include "consumers/output_writer.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace sluice {

output_status output_writer::flush() {
  size_t written = 0;
  while (status_ == output_status::ok && written < buffer_.size()) {
    const ssize_t n = ::write(descriptor_, buffer_.data() + written, buffer_.size() - written);
    if (n >= 0) {
      written += static_cast<size_t>(n);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      // Somebody who shares the descriptor made it non-blocking.
      pollfd ready{descriptor_, POLLOUT, 0};
      (void)::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      error_ = errno;
      status_ = errno == EPIPE ? output_status::closed : output_status::failed;
    }
  }
  buffer_.clear();
  return status_;
}

}  // namespace sluice
