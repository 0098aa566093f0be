// boost::lockfree::spsc_queue. The event is built and stamped, then copied in. `batch` 1: push(event); more: the producer
// collects so many events and pushes the range, so the first of them waits for the last. The consumer pops up to 256 at
// once.
#pragma once

#include <boost/lockfree/spsc_queue.hpp>
#include <string>

#include "bench/event.h"
#include "bench/handover.h"

namespace sluice::bench {

template <class of_clock, uint32_t batch>
class boost_queue {
 public:
  using clock = of_clock;
  static std::string name() { return batch == 1 ? "boost_push" : "boost_range_" + std::to_string(batch); }

  void push(const event_payload& payload) {
    if constexpr (batch == 1) {
      const timed_event event{clock_.now(), payload};
      while (!queue_.push(event)) relax();
    } else {
      held_[held_count_++] = {clock_.now(), payload};
      if (held_count_ == batch) finish();
    }
  }

  void finish() {
    for (uint32_t pushed = 0; pushed != held_count_;) {
      const size_t some = queue_.push(held_ + pushed, held_count_ - pushed);
      if (some == 0) relax();
      pushed += static_cast<uint32_t>(some);
    }
    held_count_ = 0;
  }

  template <class visitor>
  size_t drain(visitor& visit) {
    const size_t count = queue_.pop(taken_, std::size(taken_));
    for (size_t i = 0; i < count; ++i) visit(taken_[i].time, reinterpret_cast<const uint8_t*>(&taken_[i].payload));
    return count;
  }

 private:
  boost::lockfree::spsc_queue<timed_event> queue_{queue_events};
  alignas(128) clock clock_;
  uint32_t held_count_ = 0;
  timed_event held_[batch];
  alignas(128) timed_event taken_[256];
};

}  // namespace sluice::bench
