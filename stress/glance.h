// A second, independent reading of a ring: what stands at a position now. For the consumer's thread, at or behind its cursor,
// where nothing is given back meanwhile.
#pragma once

#include "pipeline/ring_reader.h"

namespace sluice::stress {

struct glance {
  record_state state = record_state::none;  // none: nothing is published there
  uint32_t length = 0;
  uint64_t time = 0;  // known unless reserved
  uint16_t type = 0;
  bool is_final() const { return is_closed(state); }
};

inline glance look_at(const region_view<native_seam>& view, uint32_t position) {
  glance result;
  if (view.producer->published.load(memory_order::acquire) == position) return result;
  const uint32_t offset = position & (view.geometry.capacity - 1);
  const uint32_t word = view.data.state(offset).load(memory_order::acquire);
  result.state = state_of(word);
  result.length = length_of(word);
  result.type = static_cast<uint16_t>(view.data.load(offset + offsetof(record_header, type)) & 0xffff);
  if (result.state == record_state::stamped || result.is_final()) {
    result.time = static_cast<uint64_t>(view.data.load(offset + offsetof(record_header, time_high))) << 32 |
                  view.data.load(offset + offsetof(record_header, time_low));
  }
  return result;
}

constexpr const char* name_of(record_state state) {
  switch (state) {
    case record_state::none: return "none";
    case record_state::reserved: return "reserved";
    case record_state::stamped: return "stamped";
    case record_state::committed: return "committed";
    case record_state::discarded: return "discarded";
  }
  return "invalid";
}

// Prints what both lanes of a CPU hold, from the consumer's word on, to stderr. For a report only.
void print_rings(const class rig& on, uint32_t cpu);

}  // namespace sluice::stress
