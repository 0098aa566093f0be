#include "consumers/output_writer.h"

#include <cerrno>

#include "consumers/os/output.h"

namespace sluice {

output_status output_writer::flush() {
  if (status_ == output_status::ok && !buffer_.empty()) {
    error_ = os::write_all(descriptor_, buffer_);
    if (error_ != 0) status_ = error_ == EPIPE ? output_status::closed : output_status::failed;
  }
  buffer_.clear();
  return status_;
}

}  // namespace sluice
