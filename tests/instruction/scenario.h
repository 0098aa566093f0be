// The states from which producers are stepped, and the sweep over sizes and places.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/instruction/stepped.h"
#include "tests/instruction/stepper.h"
#include "tests/instruction/tally.h"
#include "tests/instruction/world.h"

#define SLUICE_NEEDS_SINGLE_STEPS() \
  if (why_not_stepped() != nullptr) GTEST_SKIP() << why_not_stepped()

namespace sluice::instruction {

// Fills CPU 0's main ring, in use so far, up to `limit` bytes.
inline void fill_ring(world& w, uint32_t lane, uint32_t limit, uint16_t type) {
  for (;;) {
    const auto where = w.now().producers[0].where();
    const uint32_t room = limit - (where.written[lane] - where.reclaimed[lane]);
    if (room < record_header_size) return;
    const uint32_t stride = room <= max_loss_record ? room : room - max_loss_record < 16 ? 512 : max_loss_record;
    w.produce({deed::write, 0, type, stride - record_header_size});
  }
}

// A little of everything on both CPUs: some taken, some pending.
inline void pending_records(world& w) {
  w.produce({deed::write, 0, ordinary_type, 24});
  w.produce({deed::write, 1, ordinary_type, 8});
  (void)w.pass(true);
  w.produce({deed::write, 0, other_type, 40});
  w.produce({deed::commit, 1, critical_type, 16});
}

// What the next operation of CPU 0 meets.
struct setting {
  const char* name;
  uint16_t type;     // of the operation that is stepped
  uint32_t lane;     // where it goes
  bool has_room;     // whether it goes anywhere
  void (*prepare)(world&);
};

inline const setting room_at_once{"room at once", ordinary_type, lane_main, true, pending_records};
inline const setting gap_open{"LOSS in front", ordinary_type, lane_main, true, [](world& w) {
                                pending_records(w);
                                w.produce({deed::write, 0, other_type, too_long});
                                w.produce({deed::write, 0, ordinary_type, too_long + 3});
                                w.produce({deed::write, 0, other_type, too_long});
                              }};
inline const setting room_after_reclaim{"room after a reclaim", ordinary_type, lane_main, true, [](world& w) {
                                          pending_records(w);
                                          fill_ring(w, lane_main, 3072, ordinary_type);
                                          (void)w.pass(true);
                                        }};
// The consumer released more after a claim of which a little is left.
inline const setting room_behind_a_claim{"room behind what is left of an older claim", ordinary_type, lane_main, true,
                                         [](world& w) {
                                           for (const uint32_t stride : {1024, 40}) {
                                             w.produce({deed::write, 0, ordinary_type, stride - record_header_size});
                                           }
                                           (void)w.pass(true);
                                           fill_ring(w, lane_main, 3072, ordinary_type);
                                           w.produce({deed::write, 0, ordinary_type, 24});
                                           fill_ring(w, lane_main, 3072, ordinary_type);
                                           (void)w.pass(true);
                                         }};
inline const setting gap_after_reclaim{"LOSS in front after a reclaim", critical_type, lane_main, true, [](world& w) {
                                         pending_records(w);
                                         fill_ring(w, lane_main, 4096, critical_type);
                                         w.produce({deed::write, 0, ordinary_type, 8});
                                         (void)w.pass(true);
                                       }};
inline const setting spare_lane{"main ring full, to the spare lane", critical_type, lane_spare, true, [](world& w) {
                                  pending_records(w);
                                  fill_ring(w, lane_main, 4096, critical_type);
                                }};
inline const setting gap_to_spare_lane{"main ring full, LOSS to the spare lane", critical_type, lane_spare, true,
                                       [](world& w) {
                                         pending_records(w);
                                         fill_ring(w, lane_main, 4096, critical_type);
                                         w.produce({deed::commit, 0, ordinary_type, 8});
                                         w.produce({deed::commit, 0, other_type, 100});
                                       }};
inline const setting ring_full{"dropped, ring full", ordinary_type, lane_main, false, [](world& w) {
                                 pending_records(w);
                                 fill_ring(w, lane_main, 3072, ordinary_type);
                               }};
inline const setting both_full{"dropped, both lanes full", critical_type, lane_main, false, [](world& w) {
                                 pending_records(w);
                                 fill_ring(w, lane_main, 4096, critical_type);
                                 fill_ring(w, lane_spare, 4096, critical_type);
                               }};
inline const setting all_settings[] = {room_at_once,      gap_open,   room_after_reclaim, room_behind_a_claim,
                                       gap_after_reclaim, spare_lane, gap_to_spare_lane,  ring_full,
                                       both_full};

// A world in which what `asked` puts into the ring (LOSS, if any, and record) begins `distance` bytes before the ring's end.
// Every second end is where positions wrap modulo 2^32.
inline std::unique_ptr<world> make_world(const setting& from, const operation& asked, uint32_t distance) {
  world first;
  from.prepare(first);
  const uint32_t used = first.now().producers[0].where().written[from.lane];
  const uint32_t end = distance / 8 % 2 == 0 ? 0 : 0x40000000;
  auto made = std::make_unique<world>(end - distance - used);
  from.prepare(*made);
  static const char* const deeds[] = {"write", "reserve and commit", "reserve and discard"};
  made->where = std::string(from.name) + ", " + deeds[static_cast<int>(asked.what)] + " of " +
                std::to_string(asked.length) + " bytes, " + std::to_string(distance) + " before the ring's end";
  if (first.failed()) made->fail(first.failure().c_str());
  return made;
}

// Steps one operation; `visit(world, stepper, activity)` at each boundary until something fails.
using visit_function = std::function<void(world&, stepper&, activity&)>;
inline void step_operation(world& w, const operation& asked, tally& count, const visit_function& visit) {
  static stepper steps;
  activity& mine = w.prepare(asked);
  w.boundary = steps.boundary_address();
  w.doing = "alone";
  w.inspect();
  count.boundaries += steps.run(stepped_produce, &mine, [&] {
    if (w.failed()) return;
    w.doing = "alone";
    w.inspect();
    visit(w, steps, mine);
  });
  ++count.runs;
  count.states_seen |= w.states_seen;
  w.doing = "alone";
  w.inspect();
}

// From the state at a boundary: something intervenes, the code runs on to its end, everything is closed and delivered.
// Then the boundary's state is back.
inline void continue_with(world& w, stepper& steps, tally& count, const char* doing, const std::function<void()>& intervene,
                          const std::function<void()>& afterwards = {}) {
  if (w.failed()) return;
  w.save(0);
  w.doing = doing;
  intervene();
  w.inspect();
  steps.run_the_rest();
  w.inspect();
  if (afterwards) afterwards();
  w.finish();
  w.restore(0);
  ++count.continuations;
}

// Every place where some of what is written crosses the ring's end, ends there or begins there. Short runs take the lengths
// in turn, one at each place, and with LOSS (700 instructions) places that are `loss_step` apart; long ones take all.
inline void sweep(const setting& from, deed what, const std::vector<uint32_t>& lengths, tally& count,
                  const visit_function& visit, uint32_t loss_step = 5 * record_alignment) {
  uint32_t loss = 0;
  if (from.has_room) {
    world first;
    from.prepare(first);
    loss = record_stride(first.expected_loss_length(0, first.now().log_count));
  }
  for (size_t i = 0, turn = 0; i < lengths.size(); ++i) {
    const uint32_t step = loss != 0 && !long_run ? loss_step : record_alignment;
    for (uint32_t distance = 0;; distance += step) {
      const uint32_t length = lengths[long_run ? i : turn++ % lengths.size()];
      if (distance > (from.has_room ? loss + record_stride(record_header_size + length) : 0)) break;
      const operation asked{what, 0, from.type, length};
      const auto w = make_world(from, asked, distance);
      step_operation(*w, asked, count, visit);
      ASSERT_FALSE(w->failed()) << w->failure();
    }
    if (!long_run) break;
  }
}

}  // namespace sluice::instruction
