#include "kernel_port/sim/scheduler.h"
#include "pipeline/atomic.h"

namespace sluice {

void access_point() { sim::the_scheduler.point(sim::point_kind::access); }

}  // namespace sluice
