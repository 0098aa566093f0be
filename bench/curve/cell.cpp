#include "bench/curve/cell.h"

#include <fmt/format.h>

#include <cstdio>

namespace sluice::bench {
namespace {

constexpr size_t most_shown = 400;  // intervals of a timeline

std::string timeline(const cell_result& result) {
  const uint64_t begin = result.load.begin;
  std::string text = ", \"drops\": [";
  const char* comma = "";
  for (const joined_drop& drop : result.joined.drops) {
    if (&drop - result.joined.drops.data() == most_shown) break;
    text += fmt::format("{}[{}, {}, {}, {}]", comma, drop.begin - begin, drop.end - begin, drop.events,
                        drop.gap_begin > begin ? drop.gap_begin - begin : 0);
    comma = ", ";
  }
  text += "], \"stalls\": [";
  comma = "";
  for (const stall& each : result.stalls) {
    text += fmt::format("{}[{}, {}]", comma, each.begin > begin ? each.begin - begin : 0, each.end > begin ? each.end - begin : 0);
    comma = ", ";
  }
  // What waits in the ring, at every hundredth of the run.
  text += "], \"waiting\": [";
  comma = "";
  const ring_log& log = result.load.log;
  const uint64_t step = log.looks.empty() ? 1 : (log.looks.back().time - begin) / 400 + 1;
  size_t pass = 0;
  uint64_t next = 0;
  for (const offered_look& look : log.looks) {
    while (pass + 1 < log.passes.size() && log.passes[pass + 1].time <= look.time) ++pass;
    if (look.time - begin < next || log.passes.empty()) continue;
    text += fmt::format("{}[{}, {}]", comma, look.time - begin, look.position - log.passes[pass].position);
    comma = ", ";
    next = look.time - begin + step;
  }
  return text + "]";
}

}  // namespace

void settle(cell_result& result, const curve_arrivals& seen, const ring_room& room) {
  result.checked = true;
  result.received = seen.received();
  result.joined = join_drops(result.load.log, seen.losses(), room, result.load.begin);
  uint64_t refused = 0;
  for (const drop_interval& drop : result.load.log.drops) refused += drop.count;
  if (!seen.in_order()) result.failure = "events came out of order";
  if (!result.load.closed) result.failure = "20 s after the load had ended there was no room for an event";
  if (result.received + refused != result.load.attempted) {
    result.failure = fmt::format("{} of {} events were refused, and {} came", refused, result.load.attempted, result.received);
  }
}

bool report(const cell& asked, const cell_result& result) {
  const generated& load = result.load;
  const auto& late = load.late;
  fmt::print(
      "{{\"kind\": \"cell\", \"design\": \"{}\", \"ring\": {}, \"consumer\": \"{}\", \"shape\": \"{}\", \"rate\": {:.0f}, \"length\": {}, "
      "\"offered\": {}, \"dropped\": {}, \"checked\": {}, \"intervals\": {}, \"announced\": {}, \"violations\": {}, "
      "\"least_gap_over_hold\": {:.4f}, \"late_p50\": {}, \"late_p99\": {}, \"late_max\": {}, \"away\": {}{}}}\n",
      asked.design, asked.ring_bytes, name_of(asked.consumer), asked.shape->name, asked.rate, asked.length, load.offered, load.dropped,
      result.checked ? "true" : "false", load.log.drops.size(), result.joined.announced, result.joined.violations.size(),
      result.joined.least_gap_over_hold, late.percentile(0.5), late.percentile(0.99), late.max(), result.away,
      asked.timeline && result.checked ? timeline(result) : "");
  std::fflush(stdout);
  const std::string where = fmt::format("{}, ring of {} bytes, consumer {}, {} at {:.0f} events/s", asked.design, asked.ring_bytes,
                                        name_of(asked.consumer), asked.shape->name, asked.rate);
  if (!result.failure.empty()) fmt::print(stderr, "sluice_curve: {}: {}\n", where, result.failure);
  size_t shown = 0;
  for (const std::string& violation : result.joined.violations) {
    if (++shown > 10) break;
    fmt::print(stderr, "sluice_curve: {}: violation: {}\n", where, violation);
  }
  return result.failure.empty() && result.joined.violations.empty();
}

}  // namespace sluice::bench
