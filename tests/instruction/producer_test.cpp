// At each instruction of a producer: other producers, of its CPU (where they may run) and of others.
#include "tests/instruction/scenario.h"

using namespace sluice;
using namespace sluice::instruction;

namespace {

constexpr uint32_t bit(record_state state) { return 1u << static_cast<uint32_t>(state); }
constexpr uint32_t not_visible_yet = bit(record_state::none);

void every_state_was_met(const tally& count) {
  const uint32_t all = not_visible_yet | bit(record_state::reserved) | bit(record_state::stamped) |
                       bit(record_state::committed);
  EXPECT_EQ(count.states_seen & all, all) << "a stop fell between any two of the states of a record";
}

// What runs to completion at an instruction; where the section is held, at its end.
const operation intruders[] = {
    {deed::write, 0, ordinary_type, 8},   {deed::commit, 0, ordinary_type, 24},
    {deed::write, 0, critical_type, 100}, {deed::discard, 0, critical_type, 12},
    {deed::write, 0, other_type, too_long},  // dropped: what comes next announces it
};

}  // namespace

TEST(every_instruction, another_producer_of_the_cpu_runs_to_completion) {
  SLUICE_NEEDS_SINGLE_STEPS();
  tally count;
  uint64_t put_off = 0;
  const auto visit = [&](world& w, stepper& steps, activity&) {
    // Put off, it runs at the section's end, from whichever instruction: one of them is enough.
    const bool held = w.now().section[0] != 0;
    put_off += held;
    for (size_t i = 0; i < std::size(intruders); ++i) {
      if (held && steps.boundary() % std::size(intruders) != i) continue;
      const operation& intruder = intruders[i];
      continue_with(w, steps, count, "another producer", [&] { (void)w.produce(intruder); });
    }
  };
  for (const setting& from : all_settings) {
    for (const deed what : {deed::write, deed::commit}) {
      sweep(from, what, {48, 8, 0, 24, 7, 1}, count, visit);
      if (HasFatalFailure()) return;
    }
  }
  count.report("another producer of the CPU", 60);
  every_state_was_met(count);
  EXPECT_GT(put_off, count.runs * 20) << "a section is that long, and nobody runs in it";
}

TEST(every_instruction, a_reservation_is_made_there_and_closed_after_this_one) {
  SLUICE_NEEDS_SINGLE_STEPS();
  tally count;
  const auto visit = [&](world& w, stepper& steps, activity&) {
    if (w.now().section[0] != 0) return;
    for (const deed what : {deed::commit, deed::discard}) {
      activity* holder = nullptr;
      continue_with(w, steps, count, "a reservation that outlives this one",
                    [&] { holder = &w.hold({what, 0, ordinary_type, 33}); }, [&] { w.close(*holder); });
    }
  };
  for (const setting& from : {room_at_once, gap_open, spare_lane, ring_full}) {
    sweep(from, deed::commit, {48, 8, 13}, count, visit);
    if (HasFatalFailure()) return;
  }
  sweep(room_at_once, deed::discard, {48}, count, visit);
  count.report("a reservation that outlives this one", 60);
}

// Commit and discard come from any CPU: inside another producer's section as well.
TEST(every_instruction, another_cpu_closes_an_older_reservation) {
  SLUICE_NEEDS_SINGLE_STEPS();
  static activity* older = nullptr;
  static activity* oldest = nullptr;
  setting from = room_at_once;
  from.name = "two older reservations open";
  from.prepare = [](world& w) {
    pending_records(w);
    oldest = &w.hold({deed::commit, 0, ordinary_type, 20});
    older = &w.hold({deed::discard, 0, other_type, 44});
  };
  tally count;
  const auto visit = [&](world& w, stepper& steps, activity&) {
    continue_with(w, steps, count, "the oldest is committed", [&] { w.close(*oldest); }, [&] { w.close(*older); });
    continue_with(w, steps, count, "a younger is discarded", [&] { w.close(*older); }, [&] { w.close(*oldest); });
    continue_with(w, steps, count, "both are closed, and taken",
                  [&] {
                    w.close(*older);
                    w.close(*oldest);
                    (void)w.pass(true);
                  });
  };
  for (const deed what : {deed::write, deed::commit}) {
    sweep(from, what, {48, 8}, count, visit);
    if (HasFatalFailure()) return;
  }
  count.report("closes from another CPU", 60);
}
