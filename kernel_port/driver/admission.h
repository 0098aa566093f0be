// Who may consume: any number of those who get the driver's merged stream, or one who has the rings mapped and merges them itself.
// Any IRQL; no member waits.
#pragma once

#include "kernel_port/nt/nt.h"

namespace sluice {

class admission {
 public:
  // Beside others. False: somebody is alone there.
  [[nodiscard]] bool join() {
    for (LONG seen = InterlockedCompareExchange(&state_, 0, 0); seen != alone;) {
      const LONG was = InterlockedCompareExchange(&state_, seen + 1, seen);
      if (was == seen) return true;
      seen = was;
    }
    return false;
  }
  void leave() { InterlockedDecrement(&state_); }

  // Alone. False: somebody is there.
  [[nodiscard]] bool join_alone() { return InterlockedCompareExchange(&state_, alone, 0) == 0; }
  void leave_alone() { InterlockedExchange(&state_, 0); }

 private:
  static constexpr LONG alone = -1;
  LONG state_ = 0;  // how many; or `alone`
};

}  // namespace sluice
