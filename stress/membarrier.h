// The barrier of exact order in a user process: membarrier(2), private expedited. Every thread of this process that runs
// has passed a full barrier when it returns.
#pragma once

namespace sluice::stress {

// Once per process, before the first barrier. False: this kernel has none.
bool register_membarrier();

struct membarrier_on_all {
  void operator()() const;
};

}  // namespace sluice::stress
