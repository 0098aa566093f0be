#include "tests/reference/model.h"

#include <algorithm>

namespace sluice::reference {
namespace {

uint64_t room_of(uint64_t length) {
  return (length + 7) / 8 * 8;
}
uint64_t loss_length(const loss& gap) {
  return header_bytes + 40 + 16 * gap.by_type.size();
}
bool closed(const event& which) {
  return which.state == life::committed || which.state == life::discarded;
}

}  // namespace

machine::machine(const rules& with, const std::vector<uint64_t>& start_positions)
    : rules_(with), cpus_(start_positions.size()), lanes_(start_positions.size() * lanes) {
  for (uint32_t i = 0; i < lanes_.size(); ++i) {
    lane_queue& each = lanes_[i];
    each.next_position = each.released = each.stood_at = start_positions[i / lanes];
  }
}

// R2.
uint64_t machine::clamp(cpu_state& of, uint64_t clock) {
  return of.last_time = std::max(of.last_time, clock);
}

event* machine::append(lane_queue& to, uint16_t type, uint64_t length) {
  event added;
  added.type = type;
  added.length = length;
  added.position = to.next_position;
  to.next_position += room_of(length);
  to.used += room_of(length);
  to.queue.push_back(added);
  return &to.queue.back();
}

grant machine::ask(uint32_t number, uint16_t type, uint64_t payload) {
  grant given;
  given.cpu = number;
  given.type = type;
  given.length = header_bytes + payload;
  given.valid = type != 0 && type < types;
  if (!given.valid) return given;
  cpu_state& from = cpus_[number];
  ++from.rows[type].attempted;
  const bool critical = (rules_.critical_types >> type & 1) != 0;
  if (given.length > rules_.longest) {
    given.why = reason::too_long;
    return given;
  }
  const uint64_t gap = from.gap.events == 0 ? 0 : room_of(loss_length(from.gap));
  const uint64_t need = room_of(given.length) + gap;
  lane_queue& main = lanes_[number * lanes];
  lane_queue& spare = lanes_[number * lanes + 1];
  const uint64_t main_limit = rules_.main_capacity - (critical ? 0 : rules_.critical_bytes);
  // Critical events overwrite each other only, as long as nothing is in the way.
  if (critical && rules_.overwrites && find_room(spare, need, rules_.spare_capacity, from)) {
    given.lane = 1;
  } else if (find_room(main, need, main_limit, from)) {
    given.lane = 0;
  } else if (critical && !rules_.overwrites && find_room(spare, need, rules_.spare_capacity, from)) {
    given.lane = 1;
  } else {
    given.why = critical ? reason::critical_full : reason::ring_full;
    return given;
  }
  lane_queue& into = *given.lane == 0 ? main : spare;
  if (gap != 0) {  // R4: in front of the next success
    given.announcement = append(into, loss_type, loss_length(from.gap));
    given.announcement->lost = from.gap;
    from.gap = {};
    ++from.rows[loss_type].attempted;
    ++from.rows[loss_type].open;
  }
  given.record = append(into, type, given.length);
  ++from.rows[type].open;
  return given;
}

void machine::time_is(const grant& given, uint64_t clock) {
  if (!given.valid) return;
  cpu_state& from = cpus_[given.cpu];
  uint64_t time = clamp(from, clock);
  if (!given.lane) {
    ++from.rows[given.type].dropped[static_cast<uint32_t>(given.why)];
    if (from.gap.events == 0) from.gap.first_time = time;
    for (loss* const of : {&from.gap, &from.figures}) {
      of->first_time = from.gap.first_time;
      of->last_time = time;
      of->bytes += given.length;
      ++of->events;
      ++of->by_type[given.type];
    }
    return;
  }
  if (*given.lane == 1) {  // above all that the main lane holds, below all that it will hold
    ++time;
    from.last_time = time + 1;
  }
  if (given.announcement != nullptr) {
    given.announcement->time = time;
    given.announcement->state = life::committed;
    --from.rows[loss_type].open;
    ++from.rows[loss_type].committed;
  }
  given.record->time = time;
  given.record->state = life::open;
}

void machine::close(const grant& given, bool commit) {
  given.record->state = commit ? life::committed : life::discarded;
  row& account = cpus_[given.cpu].rows[given.type];
  --account.open;
  ++(commit ? account.committed : account.discarded);
}

// Records set aside that are closed by now come first, late. False: the sink refused one.
bool machine::take_late(pass_outcome& result, uint64_t& room) {
  bool refused = false;
  for (uint32_t i = 0; i < lanes_.size(); ++i) {
    for (uint64_t k = 0; k < lanes_[i].taken; ++k) {
      event& each = lanes_[i].queue[k];
      if (!each.set_aside || !closed(each)) continue;
      if (each.state == life::discarded) {
        ++discarded_;
      } else if (room == 0) {
        refused = true;
        continue;
      } else {
        --room;
        ++late_;
        result.emitted.push_back({i, each, true});
      }
      each.set_aside = false;
      --lanes_[i].aside;
    }
  }
  return !refused;
}

pass_outcome machine::pass(uint64_t clock, uint64_t room) {
  pass_outcome result;
  const uint64_t bound = clock > rules_.margin ? clock - rules_.margin : 0;  // T
  const uint64_t idle = bound == 0 ? 0 : bound - 1;
  if (!take_late(result, room)) {
    result.end = stop::sink_full;
    return result;
  }
  notice_overwritten();
  for (bool going_on = true; going_on;) {
    // The smallest (key, lane) over all lanes, by looking at each.
    std::optional<std::pair<uint64_t, uint32_t>> best;
    for (uint32_t i = 0; i < lanes_.size(); ++i) {
      const lane_queue& each = lanes_[i];
      const uint64_t key = each.taken == each.queue.size()                  ? idle
                           : each.queue[each.taken].state == life::reserved ? each.last_taken_time
                                                                            : each.queue[each.taken].time;
      if (!best || std::pair(key, i) < *best) best = {key, i};
    }
    result.lane = best->second;
    lane_queue& from = lanes_[best->second];
    if (from.taken == from.queue.size()) {
      result.end = stop::idle;
      break;
    }
    event& first = from.queue[from.taken];
    if (announces_overwritten(from)) {
      if (room == 0) {
        result.end = stop::sink_full;
        break;
      }
      --room;
      const bool late = *best < last_emitted_;
      if (late) {
        ++late_;
      } else {
        last_emitted_ = *best;
      }
      result.emitted.push_back({best->second, overwritten_loss(from, first.time), late});
      announced_as_overwritten_ += result.emitted.back().what.lost.events;
      from.missed = false;
      from.missed_by_type.clear();
      continue;
    }
    switch (first.state) {
      case life::reserved:
        result.end = stop::reserved;
        going_on = false;
        break;
      case life::open:
        if (rules_.set_aside_after != 0 && bound > first.time &&
            bound - first.time > rules_.set_aside_after && from.aside < most_set_aside) {
          first.set_aside = true;
          ++from.aside;
          ++set_aside_;
          from.last_taken_time = first.time;
          ++from.taken;
        } else {
          result.end = stop::stamped;
          going_on = false;
        }
        break;
      case life::committed: {
        if (room == 0) {
          result.end = stop::sink_full;
          going_on = false;
          break;
        }
        --room;
        const bool late = *best < last_emitted_;  // M1: or marked, and counted
        if (late) {
          ++late_;
        } else {
          last_emitted_ = *best;
        }
        result.emitted.push_back({best->second, first, late});
        from.last_taken_time = first.time;
        ++from.taken;
        break;
      }
      case life::discarded:
        ++discarded_;
        from.last_taken_time = first.time;
        ++from.taken;
        break;
    }
  }
  for (lane_queue& each : lanes_) {
    each.stood_at = next_to_take(each);
    if (each.taken == each.queue.size()) continue;
    const event& first = each.queue[each.taken];
    const bool announces = announces_overwritten(each);
    result.closed_pending |= closed(first) || announces;
    if (!announces && first.state == life::open && (result.open_time == 0 || first.time < result.open_time)) {
      result.open_time = first.time;
    }
  }
  return result;
}

void machine::release() {
  for (lane_queue& each : lanes_) {
    if (rules_.overwrites) {
      each.released = each.stood_at;
      continue;
    }
    while (each.taken != 0 && !each.queue.front().set_aside) {
      each.used -= room_of(each.queue.front().length);
      each.queue.pop_front();
      --each.taken;
    }
  }
}

}  // namespace sluice::reference
