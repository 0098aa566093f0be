// The model's overwriting lanes: the oldest closed events make room, and the consumer tells of what it never saw.
#include <algorithm>

#include "tests/reference/model.h"

namespace sluice::reference {
namespace {

uint64_t room_of(uint64_t length) { return (length + 7) / 8 * 8; }
bool closed(const event& which) { return which.state == life::committed || which.state == life::discarded; }

}  // namespace

uint64_t machine::oldest_position(const lane_queue& of) const {
  return of.queue.empty() ? of.next_position : of.queue.front().position;
}

uint64_t machine::next_to_take(const lane_queue& of) const {
  return of.taken == of.queue.size() ? of.next_position : of.queue[of.taken].position;
}

// Whether `need` bytes fit under the limit: as things are, or with the oldest gone. They go in small steps, whole, up to the
// oldest that is open; none goes if that is not enough.
bool machine::find_room(lane_queue& in, uint64_t need, uint64_t limit, cpu_state& of) {
  if (in.used + need <= limit) return true;
  if (!rules_.overwrites) return false;
  const uint64_t capacity = &in == &lanes_[static_cast<size_t>(&of - cpus_.data()) * lanes] ? rules_.main_capacity : rules_.spare_capacity;
  const uint64_t missing = in.used + need - limit;
  const uint64_t wanted = std::max(missing, std::min<uint64_t>(capacity / 64, 1024));
  uint64_t bytes = 0, records = 0;
  while (bytes < wanted && records < in.queue.size() && closed(in.queue[records])) bytes += room_of(in.queue[records++].length);
  if (bytes < missing) return false;
  for (; records != 0; --records) {
    const event& oldest = in.queue.front();
    if (oldest.state == life::committed) {
      if (oldest.position >= in.released) ++of.rows[oldest.type].overwritten;
      if (in.taken == 0) ++in.overwritten[oldest.type];
    }
    if (in.taken != 0) --in.taken;
    in.used -= room_of(oldest.length);
    in.queue.pop_front();
  }
  return true;
}

// The consumer comes to look: what it stood in front of may be gone.
void machine::notice_overwritten() {
  for (lane_queue& each : lanes_) {
    const uint64_t oldest = oldest_position(each);
    if (oldest > each.stood_at) {
      if (!each.missed) each.missed_from = each.stood_at;
      each.missed = true;
      each.missed_bytes = oldest - each.missed_from;
      for (const auto& [type, events] : each.overwritten) each.missed_by_type[type] += events;
      each.overwritten.clear();
    }
    const bool has_time = each.taken != each.queue.size() && each.queue[each.taken].state != life::reserved;
    if (has_time && each.missed_by_type.empty()) each.missed = false;  // nothing but discarded ones
  }
}

// In front of the oldest that is left, once that has a time.
bool machine::announces_overwritten(const lane_queue& from) const {
  return from.missed && from.taken != from.queue.size() && from.queue[from.taken].state != life::reserved;
}

event machine::overwritten_loss(const lane_queue& from, uint64_t time) const {
  event made;
  made.type = loss_type;
  made.length = header_bytes + 40 + 16 * from.missed_by_type.size();
  made.position = from.missed_from;
  made.time = time;
  made.state = life::committed;
  made.tells_of_overwritten = true;
  made.lost = {from.last_taken_time != 0 ? from.last_taken_time : time, time, from.missed_bytes, 0, from.missed_by_type};
  for (const auto& [type, events] : from.missed_by_type) made.lost.events += events;
  return made;
}

}  // namespace sluice::reference
