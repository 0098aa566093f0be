// The load: events at the times of a schedule, whoever reads and however far behind. A generator that was kept from its processor makes
// what was due meanwhile, late, and says how late; what is due behind the end is not made, and that is said, too.
//
//   struct maker {
//     bool make(uint64_t number, uint64_t due);   false: there was no room. `due` in nanoseconds of CLOCK_MONOTONIC
//     ring_position position();                   where the ring's two sides are; of a maker without a ring: {}
//   };
#pragma once

#include <algorithm>
#include <chrono>
#include <thread>

#include "bench/curve/drop_log.h"
#include "bench/curve/schedule.h"
#include "bench/support.h"
#include "bench/two_cpus.h"
#include "consumers/latency_histogram.h"

namespace sluice::bench {

struct ring_position {
  uint32_t published = 0;
  uint32_t consumed = 0;
};

struct generated {
  uint64_t begin = 0;      // nanoseconds
  uint64_t offered = 0;    // events within the schedule's length
  uint64_t dropped = 0;    // of those
  uint64_t attempted = 0;  // with those that closed the last gap
  bool closed = false;     // the last event was taken
  latency_histogram late;  // nanoseconds from due to made, one value for each look at the clock
  ring_log log;
};

template <class maker>
class generator {
 public:
  static constexpr uint64_t most_at_once = 32;    // events between two looks at the clock
  static constexpr uint64_t between_notes = 16;   // events between two looks that are noted

  generator(maker& make, generated& done, uint64_t expected_events) : make_(make), done_(done) {
    done_.log.looks.reserve(expected_events / between_notes + 1000);
    done_.log.passes.reserve(expected_events / between_notes + 1000);
  }

  void offer(const schedule& plan) {
    schedule_walk walk(plan);
    const uint64_t begin = done_.begin = start();
    const uint64_t all = plan.events();
    while (number_ < all) {
      const uint64_t now = look();
      if (now - begin >= plan.length()) break;
      const uint64_t due = walk.due(now - begin);
      if (due <= number_) {
        relax(1);
        continue;
      }
      const uint64_t due_time = begin + walk.time_of(number_);
      done_.late.add(now > due_time ? now - due_time : 0);
      for (const uint64_t end = std::min(due, number_ + most_at_once); number_ < end; ++number_) {
        if (!make_.make(number_, due_time)) [[unlikely]] refuse(now);
      }
    }
    (void)look();
    done_.offered = number_;
    done_.dropped = dropped_;
  }

  // One more event, so that a gap at the end is announced: tried every millisecond for 20 s at most.
  void close() {
    for (int i = 0; i < 20000 && !done_.closed; ++i) {
      const uint64_t now = look();
      done_.closed = make_.make(number_, now);
      if (!done_.closed) refuse(now);
      ++number_;
      (void)look();
      if (!done_.closed) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    done_.attempted = number_;
  }

 private:
  uint64_t start() {
    const ring_position ring = make_.position();
    published_ = uint64_t{1} << 32 | ring.published;  // the consumer's is less
    consumed_ = published_ - static_cast<uint32_t>(ring.published - ring.consumed);
    const uint64_t now = monotonic_nanoseconds();
    done_.log.passes.push_back({now, consumed_});
    done_.log.looks.push_back({now, 0, published_});
    return now;
  }

  SLUICE_ALWAYS_INLINE uint64_t look() {
    const ring_position ring = make_.position();
    const uint64_t now = monotonic_nanoseconds();
    if (open_) [[unlikely]] {
      for (; without_end_ < done_.log.drops.size(); ++without_end_) done_.log.drops[without_end_].after = now;
      open_ = false;
    }
    published_ += static_cast<uint32_t>(ring.published - static_cast<uint32_t>(published_));
    if (static_cast<uint32_t>(consumed_) != ring.consumed) {
      consumed_ += static_cast<uint32_t>(ring.consumed - static_cast<uint32_t>(consumed_));
      done_.log.passes.push_back({now, consumed_});
    }
    if (number_ >= noted_ + between_notes) {
      noted_ = number_;
      done_.log.looks.push_back({now, number_, published_});
    }
    return now;
  }

  void refuse(uint64_t before) {
    ++dropped_;
    auto& drops = done_.log.drops;
    if (!drops.empty() && drops.back().first + drops.back().count == number_) {
      ++drops.back().count;
      if (!open_) without_end_ = drops.size() - 1;
      open_ = true;
      return;
    }
    if (!open_) without_end_ = drops.size();
    open_ = true;
    const uint32_t published = make_.position().published;
    drops.push_back({number_, 1, before, 0, published_ + static_cast<uint32_t>(published - static_cast<uint32_t>(published_))});
  }

  maker& make_;
  generated& done_;
  uint64_t number_ = 0;
  uint64_t dropped_ = 0;
  uint64_t noted_ = 0;
  uint64_t published_ = 0;
  uint64_t consumed_ = 0;
  bool open_ = false;        // something was refused since the last look:
  size_t without_end_ = 0;   // from this interval on
};

}  // namespace sluice::bench
