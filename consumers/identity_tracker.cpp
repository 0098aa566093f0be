#include "consumers/identity_tracker.h"

#include <iterator>

namespace sluice {

arrival identity_tracker::note(const record_identity& identity, uint32_t record_length) {
  ring& from = rings_[key(identity.cpu, identity.lane)];
  const uint64_t start = identity.position;
  const uint64_t end = start + record_stride(record_length);
  if (!from.seen || start >= from.end) {
    // What came before the first record that was seen is not known: the client may have attached later.
    if (from.seen && start > from.end) {
      from.gaps.emplace(from.end, start);
      from.gap_bytes += start - from.end;
      if (from.interrupted) interrupted_bytes_ += start - from.end;
      if (from.gaps.size() > max_gaps) {
        from.gaps.erase(from.gaps.begin());
        ++forgotten_gaps_;
      }
    }
    from.seen = true;
    from.interrupted = false;
    from.end = end;
    return arrival::in_order;
  }
  auto after = from.gaps.upper_bound(start);
  if (after == from.gaps.begin()) return arrival::duplicate;
  const auto gap = std::prev(after);
  const auto [gap_start, gap_end] = *gap;
  if (end > gap_end) return arrival::duplicate;
  from.gaps.erase(gap);
  if (gap_start < start) from.gaps.emplace(gap_start, start);
  if (end < gap_end) from.gaps.emplace(end, gap_end);
  from.gap_bytes -= end - start;
  return arrival::filled_gap;
}

uint64_t identity_tracker::gap_bytes(uint16_t cpu) const {
  uint64_t bytes = 0;
  for (uint8_t lane = 0; lane < lanes_per_cpu; ++lane) {
    if (const auto it = rings_.find(key(cpu, lane)); it != rings_.end()) bytes += it->second.gap_bytes;
  }
  return bytes;
}

}  // namespace sluice
