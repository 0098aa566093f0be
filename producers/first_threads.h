// Which processes have not had their first thread yet. The first thread of a process is always created from outside; any
// later one that another process creates is a remote thread. The process notify routine adds, the thread notify routine
// takes away, at once as a rule, so a small table is enough; where it was not, events say that the flag is uncertain.
// Up to DISPATCH_LEVEL, any thread; no lock, no allocation.
#pragma once

#include "producers/scopes.h"

namespace sluice {

class first_threads {
 public:
  static constexpr uint32_t slots = 256;

  void process_created(uint32_t pid) {
    for (LONG& slot : pids_) {
      if (InterlockedCompareExchange(&slot, static_cast<LONG>(pid), 0) == 0) return;
    }
    InterlockedExchange(&overflowed_, 1);
  }

  // True once per process: the thread that is being created is its first.
  bool take(uint32_t pid) {
    bool found = false;
    for (LONG& slot : pids_) {
      if (InterlockedCompareExchange(&slot, 0, static_cast<LONG>(pid)) == static_cast<LONG>(pid)) found = true;
    }
    return found;
  }

  // A process found no slot at some time: "not the first" may be wrong since.
  bool overflowed() { return InterlockedCompareExchange(&overflowed_, 0, 0) != 0; }

 private:
  LONG pids_[slots] = {};
  LONG overflowed_ = 0;
};

}  // namespace sluice
