// At each instruction of a producer a pass of the consumer, and at each instruction of the consumer a producer.
#include "tests/instruction/scenario.h"

using namespace sluice;
using namespace sluice::instruction;

// What a pass must emit is worked out each time; here, whatever it is, it must come in order, once, intact, and leave room.
TEST(every_instruction, the_consumer_makes_a_full_pass) {
  SLUICE_NEEDS_SINGLE_STEPS();
  tally count;
  const auto visit = [&](world& w, stepper& steps, activity&) {
    continue_with(w, steps, count, "a pass", [&] { (void)w.pass(false); });
    continue_with(w, steps, count, "a pass that gives room back", [&] { (void)w.pass(true); });
    continue_with(w, steps, count, "another CPU writes, then a pass", [&] {
      (void)w.produce({deed::write, 1, ordinary_type, 8});
      (void)w.pass(true);
    });
    continue_with(w, steps, count, "a pass, then another producer, then a pass", [&] {
      (void)w.pass(true);
      (void)w.produce({deed::commit, 0, ordinary_type, 64});
      (void)w.pass(false);
    });
  };
  for (const setting& from : all_settings) {
    for (const deed what : {deed::write, deed::commit}) {
      sweep(from, what, {48, 8, 0, 24, 7, 1}, count, visit);
      if (HasFatalFailure()) return;
    }
  }
  sweep(room_at_once, deed::discard, {48}, count, visit);
  sweep(gap_open, deed::write, {8, 48}, count, visit, record_alignment);
  count.report("the consumer", 60);
}

// T and the barrier at one instruction, the look at the rings at a later one; meanwhile another CPU writes.
TEST(every_instruction, a_bound_taken_at_an_earlier_instruction_holds) {
  SLUICE_NEEDS_SINGLE_STEPS();
  tally count;
  std::vector<uint64_t> bounds;
  const auto visit = [&](world& w, stepper& steps, activity&) {
    if (steps.boundary() == 0) bounds.clear();
    if (bounds.empty() || bounds.back() != w.now().counter) bounds.push_back(w.now().counter);
    for (const uint64_t bound : bounds) {
      continue_with(w, steps, count, "a pass with an earlier bound", [&] {
        w.now().counter += tick;  // T was read from it
        (void)w.produce({deed::write, 1, ordinary_type, 8});
        w.now().earlier_bound = bound;
        (void)w.pass(true);
        w.now().earlier_bound = 0;
      });
    }
  };
  for (const setting& from : {room_at_once, gap_open, spare_lane, gap_to_spare_lane}) {
    for (const deed what : {deed::write, deed::commit}) {
      sweep(from, what, {48, 8}, count, visit);
      if (HasFatalFailure()) return;
    }
  }
  count.report("an earlier bound", 60);
}

// The other way round: the consumer is stepped, pass and release.
TEST(every_instruction, of_the_consumer_a_producer_runs_to_completion) {
  SLUICE_NEEDS_SINGLE_STEPS();
  tally count;
  stepper steps;
  for (const setting& from : {room_at_once, gap_after_reclaim, gap_to_spare_lane}) {
    const auto made = make_world(from, {}, 40);
    world& w = *made;
    w.where = std::string("consumer, ") + from.name;
    w.boundary = steps.boundary_address();
    count.boundaries += steps.run(stepped_consume, &w, [&] {
      w.inspect();
      for (const operation& intruder : {operation{deed::write, 0, ordinary_type, 48}, operation{deed::commit, 1, critical_type, 8},
                                        operation{deed::discard, 0, critical_type, 100}}) {
        continue_with(w, steps, count, "a producer", [&] { (void)w.produce(intruder); });
      }
      continue_with(w, steps, count, "a producer on each CPU", [&] {
        (void)w.produce({deed::write, 0, ordinary_type, 8});
        (void)w.produce({deed::write, 1, ordinary_type, 8});
      });
      activity* holder = nullptr;
      continue_with(w, steps, count, "a reservation", [&] { holder = &w.hold({deed::commit, 0, ordinary_type, 16}); },
                    [&] { w.close(*holder); });
    });
    ++count.runs;
    w.finish();
    ASSERT_FALSE(w.failed()) << w.failure();
  }
  count.report("producers in the consumer", 300);
}
