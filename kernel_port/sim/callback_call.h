// A call from the machine into a routine that a driver has registered: what all kinds of callbacks share.
#pragma once

#include "kernel_port/sim/irql.h"
#include "kernel_port/sim/notify.h"

namespace sluice::sim {

// The calling thread is inside this routine: what removal from inside is recognized by.
class inside_routine {
 public:
  explicit inside_routine(notify_slot& slot) : thread_(self()) {
    constexpr uint32_t deepest = sizeof(thread_.notify_active) / sizeof(thread_.notify_active[0]);
    if (thread_.notify_depth == deepest)
      misuse("notify routines raised one another more than %u deep", deepest);
    thread_.notify_active[thread_.notify_depth++] = &slot;
  }
  ~inside_routine() { thread_.notify_depth -= 1; }
  inside_routine(const inside_routine&) = delete;
  inside_routine& operator=(const inside_routine&) = delete;

 private:
  thread_state& thread_;
};

template <class Call>
void call_routine(notify_slot& slot, void* routine, const char* what, Call&& call) {
  the_scheduler.point(point_kind::callback);
  inside_routine inside(slot);
  driver_call checked(slot.driver, routine, what);
  into_driver(call);
}

// Some routines come at PASSIVE_LEVEL or, as the documentation or the field warns, at APC_LEVEL; the seed
// chooses.
template <class Body>
void at_allowed_irql(Body&& body) {
  if (the_scheduler.chance(4)) {
    const raised_irql raised(APC_LEVEL);
    body();
  } else {
    body();
  }
}

}  // namespace sluice::sim
