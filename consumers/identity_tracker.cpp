#include "consumers/identity_tracker.h"

#include <algorithm>
#include <iterator>

namespace sluice {

arrival identity_tracker::note(const record_identity& identity, uint32_t record_length, bool late) {
  ring& from = rings_[key(identity.cpu, identity.lane)];
  const uint64_t start = identity.position;
  const uint64_t end = start + record_stride(record_length);
  if (!from.seen) {
    from.seen = true;
    from.first = start;
    if (start != 0) add_gap(from, 0, start);  // nobody misses what is there, but late records can come from it
  } else if (start > from.end) {
    add_gap(from, from.end, start);
    from.gap_bytes += start - from.end;
    if (from.interrupted) interrupted_bytes_ += start - from.end;
  } else if (start < from.end) {
    if (start < from.first && !late) return arrival::duplicate;
    const auto after = from.gaps.upper_bound(start);
    if (after != from.gaps.begin() && end <= std::prev(after)->second) {
      const auto [gap_start, gap_end] = *std::prev(after);
      from.gaps.erase(std::prev(after));
      if (gap_start < start) from.gaps.emplace(gap_start, start);
      if (end < gap_end) from.gaps.emplace(end, gap_end);
    } else if (!late || end > from.forgotten_end) {
      return arrival::duplicate;
    }
    if (start >= from.first) from.gap_bytes -= std::min(from.gap_bytes, end - start);
    return arrival::filled_gap;
  }
  from.interrupted = false;
  from.end = end;
  return arrival::in_order;
}

void identity_tracker::add_gap(ring& to, uint64_t start, uint64_t end) {
  to.gaps.emplace(start, end);
  if (to.gaps.size() <= max_gaps) return;
  to.forgotten_end = to.gaps.begin()->second;  // places are given up from the oldest on
  to.gaps.erase(to.gaps.begin());
  ++forgotten_gaps_;
}

uint64_t identity_tracker::gap_bytes(uint16_t cpu) const {
  uint64_t bytes = 0;
  for (uint8_t lane = 0; lane < lanes_per_cpu; ++lane) {
    if (const auto it = rings_.find(key(cpu, lane)); it != rings_.end()) bytes += it->second.gap_bytes;
  }
  return bytes;
}

}  // namespace sluice
