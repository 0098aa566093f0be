// What an event costs the consumer: merging 1 to 256 rings that hold the same number of events in all, spread at
// random or in runs, with a sink that copies each record into a buffer, beside the floor: the same copies from one ring
// that is read in order without a merge.
#include <random>
#include <vector>

#include "bench/suite.h"
#include "bench/support.h"
#include "pipeline/merge.h"

namespace sluice::bench {
namespace {

constexpr uint32_t events = 1 << 15;
constexpr uint32_t payload_length = 64;
constexpr uint32_t stride = record_stride(record_header_size + payload_length);

// Times of the merge are given, not measured: a counter that rises with each event.
struct counting_clock {
  uint64_t* time;
  uint64_t now() { return *time; }
};
using cpu = basic_cpu<counting_clock>;

struct copying_sink {
  std::vector<uint8_t> buffer = std::vector<uint8_t>(1 << 16);
  size_t at = 0;
  bool operator()(const record_view<native_seam>& record) {
    if (at + record.length > buffer.size()) at = 0;
    copy_bytes(buffer.data() + at, record.bytes(), record.length);
    at += stride;
    return true;
  }
};

struct no_barrier {
  void operator()() const {}
};

class filled_rings {
 public:
  explicit filled_rings(uint32_t count) {
    // Each ring holds all events, should chance put them there.
    ring_geometry geometry{min_capacity, max_loss_record, 0};
    while (geometry.capacity < events / count * stride * 2 + 2 * max_loss_record) geometry.capacity *= 2;
    for (uint32_t i = 0; i < count; ++i) {
      cpus_.push_back(std::make_unique<cpu>(counting_clock{&time_}, static_cast<uint16_t>(i), geometry));
    }
    readers.resize(count);
    heads.resize(count);
    nodes.resize(tournament_nodes(count));
    for (uint32_t i = 0; i < count; ++i) readers[i].attach(cpus_[i]->main.view);
  }

  // `run` events in a row go to one ring. False: a ring was too small for that.
  bool fill(uint32_t run) {
    const uint8_t payload[payload_length] = {};
    for (uint32_t i = 0; i < events; i += run) {
      cpu& on = *cpus_[random_() % cpus_.size()];
      for (uint32_t n = 0; n < run; ++n) {
        ++time_;
        if (on.rings.write(ordinary_type, 1, payload, payload_length) != reserve_status::ok) return false;
      }
    }
    time_ += 10;
    return true;
  }

  counting_clock clock() { return {&time_}; }
  std::vector<ring_reader<native_seam>> readers;
  std::vector<ring_head> heads;
  std::vector<tournament_node> nodes;

 private:
  uint64_t time_ = 1;
  std::mt19937 random_{1};
  std::vector<std::unique_ptr<cpu>> cpus_;
};

void floor_read_and_copy(benchmark::State& state) {
  filled_rings rings(1);
  copying_sink sink;
  for (auto _ : state) {
    state.PauseTiming();
    if (!rings.fill(1)) return state.SkipWithError("a ring was too small");
    state.ResumeTiming();
    ring_reader<native_seam>& from = rings.readers[0];
    for (ring_head head = from.look(); head.state == head_state::committed; head = from.look()) {
      (void)sink(from.view(head));
      from.take(head);
    }
    from.release();
    benchmark::ClobberMemory();
  }
  state.counters["events"] = events;
}

void merge_rings(benchmark::State& state, uint32_t ring_count, uint32_t run) {
  filled_rings rings(ring_count);
  merge<native_seam, counting_clock, exact_order<no_barrier>> merged(rings.clock(), exact_order<no_barrier>());
  merged.attach(rings.readers.data(), rings.heads.data(), rings.nodes.data(), ring_count);
  copying_sink sink;
  for (auto _ : state) {
    state.PauseTiming();
    if (!rings.fill(run)) return state.SkipWithError("a ring was too small");
    state.ResumeTiming();
    const pass_result result = merged.pass(sink);
    merged.release();
    if (result.emitted != events) return state.SkipWithError("not every event was merged");
    benchmark::ClobberMemory();
  }
  state.counters["events"] = events;
}

}  // namespace

void add_merge(const settings& with) {
  const uint64_t fills = with.scale(5);
  add("merge/floor/1", fills, floor_read_and_copy);
  for (const uint32_t run : {1u, 16u}) {
    for (const uint32_t rings : {1u, 4u, 16u, 64u, 256u}) {
      add("merge/" + std::to_string(rings) + "/" + std::to_string(run), fills,
          [=](auto& state) { merge_rings(state, rings, run); });
    }
  }
}

}  // namespace sluice::bench
