#include "stress/membarrier.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "stress/report.h"

namespace sluice::stress {

bool register_membarrier() { return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0; }

void membarrier_on_all::operator()() const {
  if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0) {
    broken("set-up", no_cpu, "membarrier(PRIVATE_EXPEDITED) failed");
  }
}

}  // namespace sluice::stress
