// W1: the consumer announces that it will sleep, looks, and sleeps only if the look allows it. At whichever instructions of
// a producer it does so, and at whichever of its own a producer runs: nothing that is final is left without a signal.
#include "tests/instruction/scenario.h"

using namespace sluice;
using namespace sluice::instruction;

namespace {

struct slept {
  uint64_t times = 0;
  uint64_t signalled = 0;
};

void go_to_sleep(world& w) {
  w.wake.announce(announcement::any_close);
  w.now().asleep = w.pass(false).may_sleep();
}

// A consumer that sleeps without a signal would leave lying what this pass emits.
void check_sleep(world& w) {
  const uint32_t emitted = w.pass(true).emitted;
  w.check(!w.now().asleep || w.now().signalled != 0 || emitted == 0, "W1: the consumer sleeps over what is final", emitted);
}

// The same where everything has run to its end; then it wakes up.
void wake_up(world& w, slept& count) {
  count.times += w.now().asleep;
  count.signalled += w.now().asleep && w.now().signalled != 0;
  check_sleep(w);
  w.wake.announce(announcement::running);
  w.now().asleep = false;
}

const setting nothing_pending{"nothing pending", ordinary_type, lane_main, true, [](world& w) {
                                pending_records(w);
                                (void)w.pass(true);
                              }};

}  // namespace

TEST(every_instruction, the_consumer_goes_to_sleep) {
  SLUICE_NEEDS_SINGLE_STEPS();
  tally count;
  slept sleeps;
  const auto visit = [&](world& w, stepper& steps, activity&) {
    continue_with(w, steps, count, "the consumer goes to sleep", [&] { go_to_sleep(w); }, [&] { wake_up(w, sleeps); });
    // The last record's time is T: it is closed, and not final yet.
    continue_with(w, steps, count, "the consumer goes to sleep, and its clock has not moved on",
                  [&] {
                    w.now().earlier_bound = w.now().counter - tick;
                    go_to_sleep(w);
                    w.now().earlier_bound = 0;
                  },
                  [&] { wake_up(w, sleeps); });
  };
  for (const setting& from : {nothing_pending, room_at_once, gap_open, spare_lane, gap_to_spare_lane}) {
    for (const deed what : {deed::write, deed::commit, deed::discard}) {
      sweep(from, what, {48, 8, 0, 24, 7, 1}, count, visit);
      if (HasFatalFailure()) return;
    }
  }
  count.report("going to sleep", 60);
  EXPECT_GT(sleeps.times, count.continuations / 4);
  EXPECT_GT(sleeps.signalled, sleeps.times / 4);
}

// Pairs of instructions: it announces at one and looks at a later one; or it does both at one, and the producer stops for
// ever at a later one (outside its section; a thread that has closed its record goes on to look at the announcement).
TEST(every_instruction, the_consumer_sleeps_from_one_instruction_to_another) {
  SLUICE_NEEDS_SINGLE_STEPS();
  tally count;
  slept sleeps;
  for (const setting& from : {nothing_pending, room_at_once, gap_open}) {
    const uint64_t step = from.prepare == gap_open.prepare && !long_run ? 89 : 1;
    for (const deed what : {deed::write, deed::commit}) {
      uint64_t boundaries = 1;
      for (uint64_t first = 0; first < boundaries; first += step) {
        for (const bool looks_later : {true, false}) {
          if (looks_later && first % 9 != 0 && !long_run) continue;
          if (!looks_later && what == deed::write) continue;  // all of it is in the section
          const operation asked{what, 0, from.type, 8};
          const auto made = make_world(from, asked, 0);
          const uint64_t before = count.boundaries;
          step_operation(*made, asked, count, [&](world& w, stepper& steps, activity& mine) {
            if (steps.boundary() == first && looks_later) w.wake.announce(announcement::any_close);
            if (steps.boundary() == first && !looks_later) go_to_sleep(w);
            if (steps.boundary() < first) return;
            if (looks_later) {
              continue_with(w, steps, count, "the consumer looks", [&] { w.now().asleep = w.pass(false).may_sleep(); },
                            [&] { wake_up(w, sleeps); });
            } else if (w.now().section[0] == 0 &&
                       !(w.is_open(mine) && is_closed(state_of(w.header(0, w.entry(mine).position).state_and_length)))) {
              w.save(0);
              w.doing = "the producer stops";
              check_sleep(w);
              w.restore(0);
              ++count.continuations;
            }
          });
          boundaries = count.boundaries - before;
          ASSERT_FALSE(made->failed()) << made->failure();
        }
      }
    }
  }
  count.report("sleep between two instructions", 60);
  EXPECT_GT(sleeps.signalled, sleeps.times / 4);
}

// Asleep because an older record is open; whoever closes it, on any CPU, at any instruction of this producer, signals.
TEST(every_instruction, the_close_that_the_consumer_waits_for_signals) {
  SLUICE_NEEDS_SINGLE_STEPS();
  static activity* oldest = nullptr;
  setting from = nothing_pending;
  from.name = "asleep over an open record";
  from.prepare = [](world& w) {
    pending_records(w);
    oldest = &w.hold({deed::commit, 0, ordinary_type, 20});
    w.produce({deed::write, 1, ordinary_type, 8});
    go_to_sleep(w);
  };
  tally count;
  slept sleeps;
  const auto visit = [&](world& w, stepper& steps, activity&) {
    continue_with(w, steps, count, "the record it waits for is closed", [&] { w.close(*oldest); },
                  [&] { wake_up(w, sleeps); });
  };
  for (const deed what : {deed::write, deed::commit}) {
    sweep(from, what, {48, 8}, count, visit);
    if (HasFatalFailure()) return;
  }
  count.report("the close it waits for", 60);
  EXPECT_EQ(sleeps.times, count.continuations);
  EXPECT_EQ(sleeps.signalled, count.continuations);
}

// The other way round: the consumer that goes to sleep is stepped.
TEST(every_instruction, of_a_consumer_that_goes_to_sleep_a_producer_runs_to_completion) {
  SLUICE_NEEDS_SINGLE_STEPS();
  tally count;
  slept sleeps;
  stepper steps;
  for (const setting& from : {nothing_pending, room_at_once, gap_after_reclaim, gap_to_spare_lane}) {
    const auto made = make_world(from, {}, 40);
    world& w = *made;
    w.where = std::string("consumer, ") + from.name;
    w.boundary = steps.boundary_address();
    const auto then_sleep = [&](const char* doing, const std::function<void()>& intervene,
                                const std::function<void()>& afterwards) {
      continue_with(w, steps, count, doing, intervene, [&] {
        afterwards();
        wake_up(w, sleeps);
      });
    };
    count.boundaries += steps.run(stepped_go_to_sleep, &w, [&] {
      for (const operation& intruder : {operation{deed::write, 0, ordinary_type, 8}, operation{deed::commit, 1, ordinary_type, 8},
                                        operation{deed::discard, 0, critical_type, 8}}) {
        then_sleep("a producer", [&] { (void)w.produce(intruder); }, [] {});
      }
      activity* holder = nullptr;
      then_sleep("a reservation, and a write of another CPU",
                 [&] {
                   holder = &w.hold({deed::commit, 0, ordinary_type, 16});
                   (void)w.produce({deed::write, 1, ordinary_type, 8});
                 },
                 [&] { w.close(*holder); });
    });
    ++count.runs;
    w.now().asleep = false;
    w.wake.announce(announcement::running);
    (void)w.pass(true);
    w.finish();
    ASSERT_FALSE(w.failed()) << w.failure();
  }
  count.report("producers in a consumer that goes to sleep", 200);
  EXPECT_GT(sleeps.signalled, count.continuations / 4);
}
