// When events are due: an open loop. The times are fixed before the first event and wait for nobody.
#pragma once

#include <cstdint>
#include <vector>

namespace sluice::bench {

// A stretch of even gaps.
struct schedule_step {
  uint64_t begin, end;  // nanoseconds from the start
  uint64_t first;       // number of its first event
  uint64_t events;
  double per_nanosecond;
};

class schedule {
 public:
  // `levels`: how the rate rises and falls, their mean is 1; each lasts an equal part of the whole. One level: even gaps.
  // `rate` in events a second, on the mean; `length` in nanoseconds.
  schedule(double rate, uint64_t length, const std::vector<double>& levels = {1.0});

  uint64_t length() const { return length_; }
  uint64_t events() const { return steps_.back().first + steps_.back().events; }
  double peak_rate() const;  // events a second, within the busiest step
  const std::vector<schedule_step>& steps() const { return steps_; }

 private:
  uint64_t length_;
  std::vector<schedule_step> steps_;
};

// A walk through a schedule. One thread.
class schedule_walk {
 public:
  explicit schedule_walk(const schedule& of) : due_(of.steps().data()), next_(due_), last_(due_ + of.steps().size() - 1) {}
  // How many events are due by `at`, nanoseconds from the start. Calls come with rising times.
  uint64_t due(uint64_t at) {
    while (at >= due_->end && due_ != last_) ++due_;
    if (at >= due_->end) return due_->first + due_->events;
    const auto within = static_cast<uint64_t>(static_cast<double>(at - due_->begin) * due_->per_nanosecond);
    return due_->first + (within < due_->events ? within : due_->events);
  }
  // When event `number` is due, nanoseconds from the start. Calls come with rising numbers, each less than events().
  uint64_t time_of(uint64_t number) {
    while (number >= next_->first + next_->events && next_ != last_) ++next_;
    return next_->begin + static_cast<uint64_t>(static_cast<double>(number - next_->first + 1) / next_->per_nanosecond);
  }

 private:
  const schedule_step* due_;
  const schedule_step* next_;
  const schedule_step* last_;
};

}  // namespace sluice::bench
