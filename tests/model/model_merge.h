// Two rings, the real merge over them, and the consumer's way to sleep.
#pragma once

#include "pipeline/merge.h"
#include "tests/model/model_ring.h"
#include "tests/model/scenario.h"

namespace sluice::model {

template <class order_policy, uint32_t ring_capacity = 64, uint32_t longest = 32>
struct two_rings {
  static constexpr uint32_t capacity = ring_capacity;
  static constexpr uint32_t count = 2;

  model_ring<capacity, longest> memory[count];
  no_spare spare;
  cpu cpus[count];
  reader readers[count];
  ring_head heads[count];
  tournament_node nodes[tournament_nodes(count)];
  merge<model_seam, model_clock, order_policy> merger;
  received got;

  explicit two_rings(order_policy policy) : merger(model_clock(), policy) {}

  void attach(merge_options options = {}) {
    for (uint16_t i = 0; i < count; ++i) {
      const region_view<model_seam> view = memory[i].view(i);
      cpus[i].attach(view, spare.view(), 0);
      readers[i].attach(view);
    }
    merger.attach(readers, heads, nodes, count, options);
  }
  record reserve(uint32_t on) {
    record open;
    const reserve_status status = cpus[on].reserve(ordinary_type, 1, 8, open);
    RL_ASSERT(status == reserve_status::ok);
    return open;
  }
  static void commit(const record& open, uint32_t number) {
    fill(open, number);
    open.close(record_state::committed);
  }
  pass_result pass() {
    const pass_result result = merger.pass([this](const record_view<model_seam>& from) {
      got.add(from);
      return true;
    });
    RL_ASSERT(result.end != pass_end::damaged);
    merger.release();
    return result;
  }
  // All threads are done and every record is closed: one pass brings out the rest (M3), each exactly once
  // (M2), in order (M1).
  void check_all(uint32_t records, uint32_t late = 0) {
    machine.time += 3;  // T - 1 tick passes every time, whatever the clocks' differences
    (void)pass();
    RL_ASSERT(got.count == records);
    RL_ASSERT(pass().emitted == 0);
    for (uint32_t number = 1; number <= records; ++number) got.check_once(number);
    got.check_order();
    RL_ASSERT(got.late_count() == late && merger.late_records() == late);
    for (cpu& each : cpus) check_producer(each, capacity);
  }
};

using exact = exact_order<heavy_barrier>;

struct exact_rings : two_rings<exact> {
  exact_rings() : two_rings(exact()) {}
};

}  // namespace sluice::model
