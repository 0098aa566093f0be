// Ours, as contestants: the driver's rings of one CPU, with three ways to consume.
//
//   sluice_reader       ring_reader alone, up to 512 records before their room is given back: what the peers do, no more
//   sluice_exact        the merge over both lanes, with a barrier on all processors in every pass
//   sluice_slack_N      the merge over both lanes, T being N ns ago (the driver's default: 50000)
//
// A write that finds no room is dropped, counted and announced; to be lossless, the producer looks for room before it
// writes: against its own copy of the consumer's position, read again only when that says the ring is full.
#pragma once

#include <string>

#include "bench/handover.h"
#include "bench/membarrier.h"
#include "pipeline/merge.h"
#include "pipeline/wake.h"

namespace sluice::bench {

template <class of_clock>
class sluice_producer {
 public:
  using clock = of_clock;

  void push(const event_payload& payload) {
    constexpr uint32_t stride = record_stride(record_header_size + sizeof(event_payload));
    const uint32_t limit = main_geometry.capacity - main_geometry.critical_bytes;
    while (position_ + stride - consumed_ > limit) {
      consumed_ = cpu_.main.view.consumer->consumed.load(memory_order::acquire);
      if (position_ + stride - consumed_ > limit) relax();
    }
    position_ += stride;
    // A drop leaves a gap in the numbers, which the consumer reports.
    (void)cpu_.rings.write(ordinary_type, 1, &payload, sizeof payload);
    benchmark::DoNotOptimize(wake_.after_close());
  }
  void finish() {}

 protected:
  basic_cpu<clock> cpu_{clock{}, 0};

 private:
  wake_line<native_seam> wake_;
  uint32_t position_ = 0;
  uint32_t consumed_ = 0;
};

template <class of_clock>
class sluice_reader : public sluice_producer<of_clock> {
 public:
  static std::string name() { return "sluice_reader"; }

  sluice_reader() { reader_.attach(this->cpu_.main.view); }

  template <class visitor>
  size_t drain(visitor& visit) {
    size_t count = 0;
    for (; count < 512; ++count) {
      const ring_head head = reader_.look();
      if (head.state != head_state::committed) break;
      visit(head.time, reader_.view(head).payload());
      reader_.take(head);
    }
    reader_.release();
    return count;
  }

 private:
  alignas(128) ring_reader<native_seam> reader_;
};

template <class of_clock, class policy>
class sluice_merge : public sluice_producer<of_clock> {
 public:
  explicit sluice_merge(policy order) : merge_(of_clock{}, order) {
    readers_[0].attach(this->cpu_.main.view);
    readers_[1].attach(this->cpu_.spare.view);
    merge_.attach(readers_, heads_, nodes_, lanes_per_cpu);
  }

  template <class visitor>
  size_t drain(visitor& visit) {
    const pass_result result = merge_.pass([&](const record_view<native_seam>& record) {
      visit(record.time, record.payload());
      return true;
    });
    merge_.release();
    return result.emitted;
  }

 private:
  alignas(128) ring_reader<native_seam> readers_[lanes_per_cpu];
  ring_head heads_[lanes_per_cpu];
  tournament_node nodes_[tournament_nodes(lanes_per_cpu)];
  merge<native_seam, of_clock, policy> merge_;
};

template <class of_clock>
class sluice_exact : public sluice_merge<of_clock, exact_order<membarrier_on_all>> {
 public:
  static std::string name() { return "sluice_exact"; }
  sluice_exact() : sluice_merge<of_clock, exact_order<membarrier_on_all>>(exact_order<membarrier_on_all>()) {
    membarrier_on_all::prepare();
  }
};

template <class of_clock, uint32_t margin>
class sluice_slack : public sluice_merge<of_clock, slack_order> {
 public:
  static std::string name() { return "sluice_slack_" + std::to_string(margin); }
  sluice_slack() : sluice_merge<of_clock, slack_order>(slack_order(ticks())) {}

 private:
  static uint64_t ticks() { return static_cast<uint64_t>(margin / of_clock::nanoseconds(1)); }
};

}  // namespace sluice::bench
