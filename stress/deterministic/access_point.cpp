#include "stress/deterministic/access_point.h"

#include "kernel_port/sim/scheduler.h"
#include "pipeline/atomic.h"

namespace sluice {
namespace {

uint64_t stores_to_the_one_left_out = 0;

}  // namespace

void access_point() { sim::the_scheduler.point(sim::point_kind::access); }

bool is_left_out(memory_order order) {
  return order == memory_order::release && stores_to_the_one_left_out != 0 && --stores_to_the_one_left_out == 0;
}

void stress::leave_out_store(uint64_t nth) { stores_to_the_one_left_out = nth; }

}  // namespace sluice
