// The barrier of exact order in a user process: membarrier(2), private expedited.
#pragma once

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <stdexcept>

namespace sluice::bench {

struct membarrier_on_all {
  // Once per process, before the first barrier.
  static void prepare() {
    static const long registered = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
    if (registered != 0) throw std::runtime_error("this kernel has no membarrier");
  }
  void operator()() const {
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0) {
      throw std::runtime_error("membarrier failed");
    }
  }
};

}  // namespace sluice::bench
