// Random sequences of operations against a model of plain queues. The model knows nothing of rings: per lane it holds a
// list of records and how many bytes are in use, and it predicts every result, every LOSS record, every time and, pass by
// pass, every emission. Seeds are fixed; a failure names its seed.
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <optional>
#include <random>
#include <string>

#include "tests/pipeline/support.h"

using namespace sluice;
using namespace sluice::test;

namespace {

enum class life { open, committed, discarded };

struct model_record {
  uint64_t value = 0;
  uint64_t time = 0;
  uint64_t position = 0;
  uint32_t length = 0;
  uint16_t type = 0;
  life state = life::open;
  std::map<uint16_t, uint64_t> lost;  // of a LOSS record
};

struct model_lane {
  std::deque<model_record> queue;  // not taken by the consumer yet; references stay valid at both ends
  uint64_t write = 0;              // 64-bit positions
  uint64_t released = 0;           // what the consumer has given back
  uint64_t taken = 0;              // what it has taken
  uint64_t last_time = 0;
};

struct model_cpu {
  model_lane lanes[lanes_per_cpu];
  std::map<uint16_t, uint64_t> gap;
  uint64_t last_time = 0;
};

class model_run {
 public:
  model_run(uint64_t seed, uint32_t cpu_count) : random_(seed), model_(cpu_count) {
    for (uint32_t i = 0; i < cpu_count; ++i) {
      cpu_options options;
      options.cpu = static_cast<uint16_t>(i);
      options.start_position = static_cast<uint32_t>(random_()) & ~7u;
      if (seed % 3 == 0) options.start_position = 0u - 8 * static_cast<uint32_t>(random_() % 2000);
      cpus_.push_back(std::make_unique<test_cpu>(manual_clock{&time_}, options));
      for (model_lane& lane : model_[i].lanes) {
        lane.write = lane.released = lane.taken = options.start_position;
      }
    }
    merge_.emplace(manual_clock{&time_}, exact{}, lanes_of(cpus_));
  }

  void run(uint32_t steps) {
    for (uint32_t step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
      time_.now += random_() % 3;
      switch (random_() % 10) {
        case 0: case 1: case 2: write_or_reserve(true); break;
        case 3: case 4: case 5: write_or_reserve(false); break;
        case 6: case 7: close_one(); break;
        case 8: if (random_() % 4 == 0) consume(); break;
        case 9: (void)cpus_[random_() % cpus_.size()]->rings.settle(); break;
      }
    }
    while (!open_.empty()) close_one();
    time_.now += 100000;
    consume();
    for (uint32_t i = 0; i < cpus_.size(); ++i) {
      EXPECT_EQ(cpus_[i]->rings.violations(), 0u);
      for (const model_lane& lane : model_[i].lanes) EXPECT_TRUE(lane.queue.empty()) << "M2: nothing is left";
      for (uint16_t type : {ordinary_type, critical_type}) EXPECT_TRUE(cpus_[i]->account(type).balances());
    }
  }
  uint64_t emitted() const { return emitted_; }
  uint64_t dropped() const { return dropped_; }
  uint64_t spare() const { return spare_; }

 private:
  struct held {
    record open;
    model_record* expected;
  };

  static uint32_t loss_bytes(const model_cpu& cpu) {
    if (cpu.gap.empty()) return 0;
    return static_cast<uint32_t>(16 + 40 + 16 * cpu.gap.size());
  }

  // Where the record must go, and with what in front of it; the lane that takes it, or none.
  std::optional<uint32_t> expected_lane(const model_cpu& cpu, uint32_t length, bool critical) const {
    if (length > small_main.max_record) return {};
    const uint64_t need = (length + 7) / 8 * 8 + loss_bytes(cpu);
    const uint64_t main_used = cpu.lanes[0].write - cpu.lanes[0].released;
    const uint64_t spare_used = cpu.lanes[1].write - cpu.lanes[1].released;
    if (main_used + need <= small_main.capacity - (critical ? 0 : small_main.critical_bytes)) return 0;
    if (critical && spare_used + need <= small_spare.capacity) return 1;
    return {};
  }

  void write_or_reserve(bool at_once) {
    const uint32_t index = static_cast<uint32_t>(random_() % cpus_.size());
    model_cpu& cpu = model_[index];
    const bool critical = random_() % 4 == 0;
    const uint16_t type = critical ? critical_type : static_cast<uint16_t>(ordinary_type - random_() % 3);
    const uint32_t payload = random_() % 100 == 0 ? 1064 + static_cast<uint32_t>(random_() % 2)
                                                  : 8 + static_cast<uint32_t>(random_() % 200);
    const uint32_t length = payload + 16;
    const uint64_t value = ++value_;
    const auto lane = expected_lane(cpu, length, critical);

    record open;
    const reserve_status status = at_once ? cpus_[index]->write(value, payload, type)
                                          : cpus_[index]->reserve(open, payload, type);
    ASSERT_EQ(status, lane ? reserve_status::ok : reserve_status::dropped) << "value " << value;
    if (!lane) {
      cpu.last_time = std::max(cpu.last_time, time_.now);
      ++cpu.gap[type];
      ++dropped_;
      return;
    }
    // In the main lane no less than anything of this CPU; in the spare lane above all that was, and below all that will be.
    uint64_t at = std::max(cpu.last_time, time_.now);
    if (*lane == lane_spare) {
      ++spare_;
      at = std::max(cpu.last_time, time_.now) + 1;
      cpu.last_time = at + 1;
    } else {
      cpu.last_time = at;
    }
    model_lane& into = cpu.lanes[*lane];
    if (!cpu.gap.empty()) {
      model_record loss{0, at, into.write, loss_bytes(cpu), record_type_loss, life::committed, cpu.gap};
      into.write += (loss.length + 7) / 8 * 8;
      into.queue.push_back(loss);
      cpu.gap.clear();
    }
    into.queue.push_back({value, at, into.write, length, type, at_once ? life::committed : life::open, {}});
    into.write += (length + 7) / 8 * 8;
    if (!at_once) open_.push_back({open, &into.queue.back()});
  }

  void close_one() {
    if (open_.empty()) return;
    const size_t which = random_() % open_.size();
    held each = open_[which];
    open_.erase(open_.begin() + static_cast<ptrdiff_t>(which));
    test_cpu::fill(each.open, each.expected->value);
    const bool commit = random_() % 5 != 0;
    each.expected->state = commit ? life::committed : life::discarded;
    each.open.close(commit ? record_state::committed : record_state::discarded);
  }

  // M1, M2, M3 in the model: the smallest key over all lanes, again and again, by a plain search.
  std::vector<model_record> expected_pass(std::vector<uint32_t>& lanes) {
    std::vector<model_record> out;
    const uint64_t idle = time_.now - 1;
    for (;;) {
      uint64_t best_key = ~uint64_t{0};
      uint32_t best = 0;
      for (uint32_t i = 0; i < model_.size() * 2; ++i) {
        const model_lane& lane = model_[i / 2].lanes[i % 2];
        const uint64_t key = lane.queue.empty() ? idle : lane.queue.front().time;
        if (key < best_key) {
          best_key = key;
          best = i;
        }
      }
      model_lane& lane = model_[best / 2].lanes[best % 2];
      if (lane.queue.empty() || lane.queue.front().state == life::open) return out;
      const model_record& front = lane.queue.front();
      lane.taken = front.position + (front.length + 7) / 8 * 8;
      if (front.state == life::committed) {
        out.push_back(front);
        lanes.push_back(best);
      }
      lane.queue.pop_front();
    }
  }

  void consume() {
    const uint64_t before = time_.now;
    collector sink;
    merge_->pass(sink);
    ASSERT_EQ(time_.now, before);
    std::vector<uint32_t> lanes;
    const std::vector<model_record> expected = expected_pass(lanes);
    ASSERT_EQ(sink.records.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      const received& got = sink.records[i];
      ASSERT_EQ(got.cpu, lanes[i] / 2);
      ASSERT_EQ(got.lane, lanes[i] % 2);
      ASSERT_EQ(got.position, expected[i].position);
      ASSERT_EQ(got.type, expected[i].type);
      ASSERT_EQ(got.time, expected[i].time);
      ASSERT_EQ(got.payload.size(), expected[i].length - 16);
      ASSERT_FALSE(got.late);
      if (got.type == record_type_loss) {
        std::map<uint16_t, uint64_t> lost;
        for (const loss_entry& entry : decode_loss(got.payload).entries) lost[entry.type] = entry.events;
        ASSERT_EQ(lost, expected[i].lost) << "R4";
      } else {
        ASSERT_EQ(got.value(), expected[i].value);
        ASSERT_TRUE(got.intact());
      }
    }
    emitted_ += expected.size();
    if (random_() % 5 == 0) return;  // taken, but its room not given back yet
    merge_->merged.release();
    for (model_cpu& cpu : model_) {
      for (model_lane& lane : cpu.lanes) lane.released = lane.taken;
    }
  }

  std::mt19937_64 random_;
  manual_time time_{1000, 0, {}};
  std::vector<std::unique_ptr<test_cpu>> cpus_;
  std::vector<model_cpu> model_;
  std::optional<exact_merge> merge_;
  std::vector<held> open_;
  uint64_t value_ = 0;
  uint64_t emitted_ = 0;
  uint64_t dropped_ = 0;
  uint64_t spare_ = 0;
};

}  // namespace

TEST(model, r1_to_r6_and_m1_to_m3_hold_for_random_operations) {
  uint64_t emitted = 0;
  uint64_t dropped = 0;
  uint64_t spare = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    model_run run(seed, 1 + seed % 5);
    run.run(1500);
    emitted += run.emitted();
    dropped += run.dropped();
    spare += run.spare();
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(emitted, 10000u);
  EXPECT_GT(dropped, 1000u) << "the rings were full often enough";
  EXPECT_GT(spare, 100u) << "the spare lane was used often enough";
}
