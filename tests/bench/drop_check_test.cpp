// D1 and D2 of bench/curve/drop_check.h: on a ring with a consumer that is stalled, and on logs with one thing wrong.
#include "bench/curve/drop_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "bench/curve/generator.h"
#include "pipeline/loss.h"
#include "pipeline/ring_reader.h"

namespace sluice::bench {
namespace {

constexpr ring_geometry geometry{1 << 14, 1024, 1 << 11};
constexpr uint64_t record_bytes = record_stride(record_header_size + 64);
constexpr ring_room room{(1 << 14) - (1 << 11), record_bytes, 1};

// A ring whose consumer takes `most` records every `turn` events, in the producer's own thread.
class stalled_ring {
 public:
  stalled_ring(uint64_t turn, uint64_t most) : turn_(turn), most_(most) { reader_.attach(cpu_.main.view); }

  bool make(uint64_t number, uint64_t) {
    if (++made_ % turn_ == 0) drain(most_);
    const uint64_t payload[8] = {number};
    return cpu_.rings.write(ordinary_type, 1, payload, sizeof payload) == reserve_status::ok;
  }
  ring_position position() const {
    return {cpu_.main.view.producer->published.load(memory_order::relaxed), cpu_.main.view.consumer->consumed.load(memory_order::acquire)};
  }
  void drain(uint64_t most) {
    for (; most != 0; --most) {
      const ring_head head = reader_.look();
      if (head.state != head_state::committed) break;
      const record_view<native_seam> record = reader_.view(head);
      if (record.type() == record_type_loss) {
        loss_payload loss;
        std::memcpy(&loss, record.payload(), sizeof loss);
        waiting_.push_back({loss.first_time, loss.last_time, loss.events, 0});
      } else {
        uint64_t number;
        std::memcpy(&number, record.payload(), sizeof number);
        for (announced_loss& loss : waiting_) {
          loss.next = number;
          losses.push_back(loss);
        }
        waiting_.clear();
      }
      reader_.take(head);
    }
    reader_.release();
  }

  std::vector<announced_loss> losses;

 private:
  const uint64_t turn_;
  const uint64_t most_;
  uint64_t made_ = 0;
  basic_cpu<monotonic_clock> cpu_{monotonic_clock{}, 0, geometry};
  ring_reader<native_seam> reader_;
  std::vector<announced_loss> waiting_;
};

struct finished_run {
  generated load;
  std::vector<announced_loss> losses;

  drop_join join(const ring_room& with = room) const { return join_drops(load.log, losses, with, load.begin); }
};

constexpr uint64_t everything = ~uint64_t{0};

// 5000 events, as fast as they go; one in `turn` finds the consumer awake.
finished_run run(uint64_t turn, uint64_t most = everything) {
  stalled_ring ring(turn, most);
  finished_run done;
  std::vector<double> at_the_begin(1000, 0.0);
  at_the_begin[0] = 1000;
  const schedule plan(500, 10'000'000'000, at_the_begin);
  generator<stalled_ring> load(ring, done.load, plan.events());
  load.offer(plan);
  ring.drain(everything);
  load.close();
  ring.drain(everything);
  done.losses = ring.losses;
  return done;
}

TEST(DropCheck, ARingWithAStalledConsumerDropsAndEveryDropIsExplained) {
  const finished_run done = run(1000);
  ASSERT_GT(done.load.dropped, 0u);
  const drop_join joined = done.join();
  EXPECT_TRUE(joined.violations.empty()) << joined.violations[0];
  EXPECT_EQ(joined.announced, done.load.dropped);
  EXPECT_EQ(joined.drops.size(), done.losses.size());
  EXPECT_GE(joined.least_gap_over_hold, 1.0);
  for (const joined_drop& drop : joined.drops) {
    EXPECT_LE(drop.gap_begin, drop.begin);
    EXPECT_LE(drop.begin, drop.end);
  }
}

TEST(DropCheck, AConsumerThatKeepsUpLeavesNothingToExplain) {
  const finished_run done = run(50);
  EXPECT_EQ(done.load.dropped, 0u);
  const drop_join joined = done.join();
  EXPECT_TRUE(joined.violations.empty()) << joined.violations[0];
  EXPECT_EQ(joined.least_gap_over_hold, 0);
}

// D2: as if the ring had held two records more.
TEST(DropCheck, ADropWhileThereIsRoomIsNoticed) {
  const finished_run done = run(1000);
  ring_room larger = room;
  larger.bytes += 2 * record_bytes;
  const drop_join joined = done.join(larger);
  ASSERT_EQ(joined.violations.size(), joined.drops.size());
  EXPECT_NE(joined.violations[0].find("shorter than the ring holds"), std::string::npos) << joined.violations[0];
  EXPECT_LT(joined.least_gap_over_hold, 1.0);
}

TEST(DropCheck, ADropAfterTheConsumerHasGivenRoomBackIsNoticed) {
  finished_run done = run(1000);
  const drop_interval& second = done.load.log.drops.at(1);
  // The consumer had come on by a record more, before the refusal.
  auto& passes = done.load.log.passes;
  const auto behind = std::find_if(passes.begin(), passes.end(), [&](const consumer_pass& pass) { return pass.time > second.before; });
  passes.insert(behind, {second.before, behind[-1].position + 2 * record_bytes});
  EXPECT_EQ(done.join().violations.size(), 1u);
}

TEST(DropCheck, ADropThatIsNotAnnouncedIsNoticed) {
  finished_run done = run(1000);
  done.losses.pop_back();
  const drop_join joined = done.join();
  ASSERT_EQ(joined.violations.size(), 1u);
  EXPECT_NE(joined.violations[0].find("nothing announces them"), std::string::npos) << joined.violations[0];
}

TEST(DropCheck, AnAnnouncementOfNothingIsNoticed) {
  finished_run done = run(50);
  done.losses.push_back({1, 2, 3, 100});
  EXPECT_EQ(done.join().violations.size(), 1u);
}

TEST(DropCheck, AWrongCountPlaceOrTimeIsNoticed) {
  const finished_run good = run(1000);
  const auto violations_with = [&](void (*spoil)(announced_loss&)) {
    finished_run spoiled = good;
    spoil(spoiled.losses.at(0));
    return spoiled.join().violations.size();
  };
  EXPECT_EQ(violations_with([](announced_loss&) {}), 0u);
  EXPECT_EQ(violations_with([](announced_loss& loss) { ++loss.events; }), 1u);
  EXPECT_EQ(violations_with([](announced_loss& loss) { ++loss.next; }), 1u);
  EXPECT_EQ(violations_with([](announced_loss& loss) { loss.first_time = 1; }), 1u);
  EXPECT_EQ(violations_with([](announced_loss& loss) { loss.last_time += 1'000'000'000'000; }), 1u);
  EXPECT_EQ(violations_with([](announced_loss& loss) { loss.last_time = loss.first_time - 1; }), 1u);
}

// Two intervals between two looks at the clock: each has its end.
TEST(DropCheck, IntervalsBetweenTwoLooksHaveTheirEnds) {
  const finished_run done = run(4, 1);
  ASSERT_GT(done.load.log.drops.size(), 100u);
  for (const drop_interval& drop : done.load.log.drops) EXPECT_GE(drop.after, drop.before) << drop.first;
  EXPECT_TRUE(done.join().violations.empty());
}

}  // namespace
}  // namespace sluice::bench
