// How the consumer behaves. One consumer thread.
#pragma once

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "bench/support.h"
#include "bench/two_cpus.h"

namespace sluice::bench {

enum class consumer_kind { running, slow, stalled_10ms, stalled_100ms };
inline constexpr consumer_kind consumer_kinds[] = {consumer_kind::running, consumer_kind::slow, consumer_kind::stalled_10ms,
                                                   consumer_kind::stalled_100ms};

inline const char* name_of(consumer_kind kind) {
  switch (kind) {
    case consumer_kind::running: return "running";
    case consumer_kind::slow: return "slow";
    case consumer_kind::stalled_10ms: return "stalled_10ms";
    case consumer_kind::stalled_100ms: return "stalled_100ms";
  }
  return "?";
}

// From the run's begin, nanoseconds: 10 ms of every 50, or 100 ms once, 40 ms after the begin.
struct stall_plan {
  uint64_t length = 0;
  uint64_t first = 0;
  uint64_t period = 0;
};
inline stall_plan stalls_of(consumer_kind kind) {
  if (kind == consumer_kind::stalled_10ms) return {10'000'000, 20'000'000, 50'000'000};
  if (kind == consumer_kind::stalled_100ms) return {100'000'000, 40'000'000, 1'000'000'000};
  return {};
}

struct stall {
  uint64_t begin, end;  // as it came, CLOCK_MONOTONIC
};

class consumer_gait {
 public:
  // `rate`: what is offered, events a second; slow takes half of it.
  consumer_gait(consumer_kind kind, double rate)
      : plan_(stalls_of(kind)), begin_(monotonic_nanoseconds()), next_(plan_.first),
        each_(kind == consumer_kind::slow ? 2e9 / rate : 0) {}

  // Between two drains. Sleeps if it is time to.
  void between(uint64_t now) {
    if (plan_.length == 0 || now - begin_ < next_) return;
    next_ += plan_.period;
    std::this_thread::sleep_for(std::chrono::nanoseconds(plan_.length));
    stalls_.push_back({now, monotonic_nanoseconds()});
  }
  // So many events were taken since `since`.
  void after(size_t events, uint64_t since) const {
    if (each_ == 0) return;
    const uint64_t end = since + static_cast<uint64_t>(each_ * static_cast<double>(events));
    while (monotonic_nanoseconds() < end) relax(1);
  }
  const std::vector<stall>& stalls() const { return stalls_; }
  // The load has ended: what is left is taken as fast as it goes.
  void hurry() {
    plan_ = {};
    each_ = 0;
  }

 private:
  stall_plan plan_;
  uint64_t begin_;
  uint64_t next_;
  double each_;
  std::vector<stall> stalls_;
};

}  // namespace sluice::bench
