// A consumer that is hostile or broken writes anything into its word, at any instruction of a producer (R5): nothing that
// is open or not yet given back is ever overwritten, whatever the producer then does.
#include "tests/instruction/scenario.h"

using namespace sluice;
using namespace sluice::instruction;

TEST(every_instruction, a_claim_that_lies_overwrites_nothing) {
  SLUICE_NEEDS_SINGLE_STEPS();
  tally count;
  uint64_t open = 0;
  const auto visit = [&](world& w, stepper& steps, activity& mine) {
    const auto where = w.now().producers[0].where();
    const bool held = w.now().section[0] != 0;
    const bool is_open = w.is_open(mine) && !is_closed(state_of(w.header(0, w.entry(mine).position).state_and_length));
    const uint32_t record = is_open ? w.entry(mine).position : where.written[0];
    // The last is true as soon as everything is closed. The others are the end of no record, now or later: inside the first
    // record, unaligned, back, far away, unaligned and ahead, inside the open record (or the next).
    const uint32_t claims[] = {where.reclaimed[0] + 8,   where.reclaimed[0] + 3, where.reclaimed[0] - 8,
                               record + 0x40000000,      where.written[0] + 12,  record + 8,
                               where.written[0]};
    for (const uint32_t& claim : claims) {
      w.save(0);
      w.hostile = true;
      w.doing = "a claim that lies";
      w.views[0].consumer->consumed.store(claim, memory_order::release);
      for (uint32_t i = 0; i < 12 && !held; ++i) {
        (void)w.produce({deed::write, 0, ordinary_type, 300});
        w.inspect();
      }
      const uint32_t reclaimed = w.now().producers[0].where().reclaimed[0];
      w.check(!is_open || static_cast<int32_t>(reclaimed - record) <= 0, "R1, R5: an open record was given back", reclaimed,
              record);
      open += is_open;
      steps.run_the_rest();
      w.inspect();
      for (uint32_t i = 0; i < 12; ++i) {
        (void)w.produce({deed::commit, 0, ordinary_type, 300});
        w.inspect();
      }
      const bool lie = &claim != std::end(claims) - 1;
      w.check(!lie || w.now().producers[0].violations() != 0, "R5: a lie was not noticed", claim, where.reclaimed[0]);
      w.hostile = false;
      w.restore(0);
      ++count.continuations;
    }
  };
  for (const setting& from : {room_at_once, room_after_reclaim}) {
    for (const deed what : {deed::write, deed::commit}) {
      sweep(from, what, {48, 8}, count, visit);
      if (HasFatalFailure()) return;
    }
  }
  count.report("claims that lie", 60);
  EXPECT_GT(open, 100u);
}
