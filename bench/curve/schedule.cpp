#include "bench/curve/schedule.h"

#include <algorithm>
#include <cmath>

namespace sluice::bench {

schedule::schedule(double rate, uint64_t length, const std::vector<double>& levels) : length_(length) {
  const double each = static_cast<double>(length) / static_cast<double>(levels.size());
  double owed = 0;  // what is less than an event goes into the next step
  uint64_t first = 0;
  for (size_t i = 0; i < levels.size(); ++i) {
    owed += rate * levels[i] * each / 1e9;
    const auto events = static_cast<uint64_t>(owed);
    owed -= static_cast<double>(events);
    const auto begin = static_cast<uint64_t>(each * static_cast<double>(i));
    const auto end = i + 1 == levels.size() ? length : static_cast<uint64_t>(each * static_cast<double>(i + 1));
    steps_.push_back({begin, end, first, events, static_cast<double>(events) / static_cast<double>(std::max<uint64_t>(1, end - begin))});
    first += events;
  }
}

double schedule::peak_rate() const {
  double peak = 0;
  for (const schedule_step& step : steps_) peak = std::max(peak, step.per_nanosecond * 1e9);
  return peak;
}

}  // namespace sluice::bench
