// How long a thread that never rests was kept from its processor: by other threads, or by the kernel. One thread.
#pragma once

#include <time.h>

#include <algorithm>
#include <cstdint>

namespace sluice::bench {

class processor_watch {
 public:
  explicit processor_watch(uint64_t now) : begin_(now), used_(processor_time()) {}

  // Often; `now`: nanoseconds of CLOCK_MONOTONIC. Asks the kernel once in a span, so an absence lies within one.
  void look(uint64_t now) {
    if (now - begin_ < span) return;
    const uint64_t used = processor_time();
    const uint64_t passed = now - begin_;
    longest_ = std::max(longest_, passed - std::min(passed, used - used_));
    begin_ = now;
    used_ = used;
  }
  // Nanoseconds, of one span.
  uint64_t longest() const { return longest_; }

  // Nanoseconds that the calling thread has had a processor.
  static uint64_t processor_time() {
    timespec time{};
    (void)::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
  }

 private:
  static constexpr uint64_t span = 100'000;  // nanoseconds

  uint64_t begin_, used_;
  uint64_t longest_ = 0;
};

}  // namespace sluice::bench
