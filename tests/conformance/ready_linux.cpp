#include <poll.h>

#include "tests/conformance/ready.h"

namespace sluice::test {

bool is_ready(wait_handle what, std::chrono::milliseconds timeout) {
  pollfd descriptor{what, POLLIN, 0};
  return ::poll(&descriptor, 1, static_cast<int>(timeout.count())) == 1;
}

}  // namespace sluice::test
