#include "bench/curve/drop_check.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::bench {
namespace {

// D1, for one pair.
void compare(const drop_interval& drop, const announced_loss& loss, const ring_room& room, std::vector<std::string>& violations) {
  if (loss.next != drop.first + drop.count || loss.events != drop.count) {
    violations.push_back(fmt::format("events {} to {} were refused; announced are {} in front of event {}", drop.first,
                                     drop.first + drop.count - 1, loss.events, loss.next));
  } else if (loss.first_time + room.clock_step <= drop.before || loss.last_time > drop.after || loss.last_time < loss.first_time) {
    violations.push_back(fmt::format("events from {} on were refused between {} and {} ns; announced is {} to {} ns", drop.first,
                                     drop.before, drop.after, loss.first_time, loss.last_time));
  }
}

void compare_all(std::span<const drop_interval> drops, std::span<const announced_loss> losses, const ring_room& room,
                 std::vector<std::string>& violations) {
  for (size_t i = 0; i < std::max(drops.size(), losses.size()); ++i) {
    if (i >= losses.size()) {
      violations.push_back(fmt::format("{} events from {} on were refused; nothing announces them", drops[i].count, drops[i].first));
    } else if (i >= drops.size()) {
      violations.push_back(
          fmt::format("{} events are announced as lost in front of event {}; none was refused", losses[i].events, losses[i].next));
    } else {
      compare(drops[i], losses[i], room, violations);
    }
  }
}

// D2, for one interval.
joined_drop find_gap(const drop_interval& drop, const ring_log& log, uint64_t begin) {
  const auto behind = std::upper_bound(log.passes.begin(), log.passes.end(), drop.before,
                                       [](uint64_t time, const consumer_pass& pass) { return time < pass.time; });
  const uint64_t given_back = behind == log.passes.begin() ? 0 : behind[-1].position;  // the log begins with the run
  // The first look behind the oldest record that waits: the gap is a little longer than what is said here.
  const auto written = std::lower_bound(log.looks.begin(), log.looks.end(), given_back,
                                        [](const offered_look& look, uint64_t position) { return look.position < position; });
  const bool looked = written != log.looks.end() && written->time <= drop.before;
  return {drop.before, drop.after, drop.count, looked ? written->time : begin, drop.position - given_back};
}

}  // namespace

drop_join join_drops(const ring_log& log, std::span<const announced_loss> losses, const ring_room& room, uint64_t begin) {
  drop_join joined;
  compare_all(log.drops, losses, room, joined.violations);
  for (const announced_loss& loss : losses) joined.announced += loss.events;
  for (const drop_interval& drop : log.drops) {
    const joined_drop found = find_gap(drop, log, begin);
    // What waits, in events at the rate of the gap, is the gap; what there is room for is what the ring holds at that rate.
    const double ratio = static_cast<double>(found.waiting + room.event_bytes) / static_cast<double>(room.bytes);
    joined.least_gap_over_hold = joined.drops.empty() ? ratio : std::min(joined.least_gap_over_hold, ratio);
    if (found.waiting + room.event_bytes <= room.bytes) {
      joined.violations.push_back(
          fmt::format("event {} was refused while {} of {} bytes waited for the consumer: its gap of {:.1f} us is shorter than the ring "
                      "holds at that rate",
                      drop.first, found.waiting, room.bytes, static_cast<double>(drop.before - found.gap_begin) / 1000));
    }
    joined.drops.push_back(found);
  }
  return joined;
}

}  // namespace sluice::bench
