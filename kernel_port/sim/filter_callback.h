// A call from the filter manager into a callback of a filter's port.
#pragma once

#include "kernel_port/sim/filter_manager.h"
#include "kernel_port/sim/irql.h"
#include "kernel_port/sim/scheduler.h"

namespace sluice::sim {

// The filter whose port callback the calling thread is inside of.
extern thread_local PFLT_FILTER inside_callback_of;

// Outside the lock; enter() and leave(), with the lock held around it, keep the filter registered meanwhile.
class filter_manager::callback_scope {
 public:
  callback_scope(PFLT_FILTER filter, const void* routine, const char* what)
      : outer_(inside_callback_of), checked_(filter->driver, routine, what) {
    inside_callback_of = filter;
    the_scheduler.point(point_kind::callback);
  }
  ~callback_scope() { inside_callback_of = outer_; }
  callback_scope(const callback_scope&) = delete;
  callback_scope& operator=(const callback_scope&) = delete;

  // With the lock held, before the scope and after it.
  static void enter(_FLT_FILTER& filter) { filter.running += 1; }
  static void leave(_FLT_FILTER& filter) {
    if (--filter.running == 0) signal_object(filter.idle.Header);
  }

 private:
  PFLT_FILTER outer_;
  driver_call checked_;
};

}  // namespace sluice::sim
