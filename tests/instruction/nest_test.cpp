// Producers nested three deep, and producer and consumer each stopped within the other.
#include "tests/instruction/scenario.h"

using namespace sluice;
using namespace sluice::instruction;

namespace {

constexpr uint32_t depths = 3;

// What short runs take: one in so many.
constexpr uint64_t first_steps = 13;   // of the second producer's places for the third
constexpr uint64_t last_steps = 5;     // of the third's places
constexpr uint64_t outer_steps = 127;  // of the places where producer or consumer is stopped first
constexpr uint64_t inner_steps = 3;    // of the places where the other is stopped then

// Three producers of CPU 0, the first stopped by the second, that by the third, and that by whatever `intervene` does. Each
// is stepped from its call to its return; where one holds the section, the others of its CPU wait.
class nest {
 public:
  nest(const setting& from, const operation (&asked)[depths], tally& count)
      : asked_(asked), world_(make_world(from, asked[0], 24)), count_(count) {
    world_->doing = "three deep";
  }
  void run() {
    run(0);
    ASSERT_FALSE(world_->failed()) << world_->failure();
  }
  uint64_t in_a_section() const { return in_a_section_; }

 private:
  void run(uint32_t depth) {
    world& w = *world_;
    w.save(depth);
    w.boundary = steps_[depth].boundary_address();
    count_.boundaries += steps_[depth].run(stepped_produce, &w.prepare(asked_[depth]), [&, depth] {
      if (w.failed()) return;
      w.inspect();
      // In a section nobody else of this CPU begins: one continuation, with somebody who does not need it.
      const bool held = w.now().section[0] != 0;
      if (!held && depth + 1 < depths) {
        if (depth == 0 || sampled(first_steps)) run(depth + 1);
      } else if (depth + 1 < depths || sampled(last_steps)) {
        in_a_section_ += held;
        intervene_and_end(depth, held);
      }
    });
    ++count_.runs;
    w.restore(depth);
  }

  // Short runs take some of the places of the second and of the third; another choice wherever the first stands.
  bool sampled(uint64_t one_in) const {
    return long_run || (steps_[0].boundary() + steps_[1].boundary() + steps_[2].boundary()) % one_in == 0;
  }

  void intervene_and_end(uint32_t depth, bool held) {
    world& w = *world_;
    w.save(depths);
    switch (count_.continuations % 4) {
      case 0: (void)w.pass(true); break;
      case 1: (void)w.produce({deed::commit, 1, critical_type, 16}); break;
      case 2: (void)w.pass(false); [[fallthrough]];
      case 3: (void)w.produce({deed::write, 0, critical_type, 16}); break;  // put off, if the section is held
    }
    w.inspect();
    // Whoever holds the section ends it first. The rest end as interrupts do, or as preempted threads may.
    const bool as_threads = count_.continuations++ / 4 % 2 != 0;
    const uint32_t first = held ? depth : depths;
    if (held) steps_[depth].run_the_rest();
    for (uint32_t i = 0; i <= depth; ++i) {
      const uint32_t next = as_threads ? i : depth - i;
      if (next != first) steps_[next].run_the_rest();
      w.inspect();
    }
    w.finish();
    w.restore(depths);
  }

  const operation (&asked_)[depths];
  std::unique_ptr<world> world_;
  tally& count_;
  stepper steps_[depths];
  uint64_t in_a_section_ = 0;
};

}  // namespace

TEST(every_instruction, producers_nest_three_deep) {
  SLUICE_NEEDS_SINGLE_STEPS();
  tally count;
  const operation asked[] = {
      {deed::commit, 0, ordinary_type, 8}, {deed::discard, 0, other_type, 1}, {deed::commit, 0, critical_type, 8}};
  uint64_t in_a_section = 0;
  for (const setting& from : {room_at_once, gap_to_spare_lane, room_after_reclaim}) {
    nest three(from, asked, count);
    three.run();
    if (HasFatalFailure()) return;
    in_a_section += three.in_a_section();
    if (!long_run) break;
  }
  count.report("three deep", 60);
  EXPECT_GT(count.continuations, 10000u);
  EXPECT_GT(in_a_section, count.continuations / 4) << "about half of the instructions of a reservation are in the section";
}

// The consumer is stopped at one instruction, a producer at another; then the one goes on to its end, and then the other.
TEST(every_instruction, producer_and_consumer_stop_each_other) {
  SLUICE_NEEDS_SINGLE_STEPS();
  tally count;
  stepper producing;
  stepper consuming;
  uint64_t turn = 0;
  const auto pair = [&](const setting& from, deed what, bool consumer_first) {
    const operation asked{what, 0, from.type, 24};
    const auto made = make_world(from, asked, 40);
    world& w = *made;
    activity& mine = w.prepare(asked);
    stepper& outer = consumer_first ? consuming : producing;
    stepper& inner = consumer_first ? producing : consuming;
    const auto step = [&](bool consumer, const std::function<void()>& visit) {
      stepper& steps = consumer ? consuming : producing;
      count.boundaries += consumer ? steps.run(stepped_consume, &w, visit) : steps.run(stepped_produce, &mine, visit);
      ++count.runs;
    };
    w.boundary = outer.boundary_address();
    w.doing = consumer_first ? "consumer, producer, consumer, producer" : "producer, consumer, producer, consumer";
    step(consumer_first, [&] {
      if (w.failed() || (!long_run && (outer.boundary() + turn) % outer_steps != 0)) return;
      w.save(0);
      step(!consumer_first, [&] {
        if (w.failed() || (!long_run && (inner.boundary() + outer.boundary()) % inner_steps != 0)) return;
        w.save(1);
        w.inspect();
        outer.run_the_rest();
        w.inspect();
        inner.run_the_rest();
        w.finish();
        w.restore(1);
        ++count.continuations;
      });
      w.restore(0);
    });
    w.finish();
    ASSERT_FALSE(w.failed()) << w.failure();
  };
  for (const setting& from : {room_at_once, gap_after_reclaim, gap_to_spare_lane}) {
    for (const deed what : {deed::write, deed::commit}) {
      for (const bool consumer_first : {true, false}) {
        pair(from, what, consumer_first);
        turn += 5;
        if (HasFatalFailure()) return;
      }
    }
  }
  count.report("producer and consumer within each other", 60);
}
