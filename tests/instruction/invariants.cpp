// What holds at every instruction: R1 to R6 against the log.
//
// Inside a section one operation of that CPU is half done, and the invariants say so: its record is not there yet or there
// as a whole, reserved, stamped or (write) committed; its account may be one step ahead. Outside, everything is exact.
#include "tests/instruction/world.h"

namespace sluice::instruction {

void world::inspect() {
  for (uint32_t ring = 0; ring < rings; ++ring) inspect_ring(ring);
  for (uint32_t cpu = 0; cpu < cpus; ++cpu) {
    inspect_account(cpu);
    inspect_figures(cpu);
  }
}

// From what was given back to what is published there are exactly the records of the log, in its order.
void world::inspect_ring(uint32_t ring) {
  const uint32_t cpu = ring / lanes_per_cpu;
  const uint32_t lane = ring % lanes_per_cpu;
  const producer_rings& producer = now().producers[cpu];
  const uint32_t reclaimed = producer.where().reclaimed[lane];
  const uint32_t written = producer.where().written[lane];
  const uint32_t end = published(ring);
  const uint32_t begin = hostile ? reclaimed : consumed(ring);
  check(begin - reclaimed <= end - reclaimed, "R1: reclaimed <= consumed <= published", begin, end);
  check(end - reclaimed <= written - reclaimed, "R1: published <= write", end, written);
  check(written - reclaimed <= main_geometry.capacity, "R1: write <= reclaimed + capacity", written, reclaimed);
  check(now().section[cpu] != 0 || end == written, "what was written is not published", end, written);
  check(hostile || producer.violations() == 0, "R5: an honest consumer is a violation", producer.violations());

  uint32_t position = begin;
  uint64_t last_time = 0;
  for (uint32_t i = 0; i < now().log_count; ++i) {
    const log_entry& each = now().log[i];
    if (each.asked.cpu != cpu || each.result == outcome::dropped) continue;
    if (each.result == outcome::running) {
      if (in_section(i) && position == end) states_seen |= 1;
      if (position == end) continue;  // not there yet, or in the other lane
    } else if (each.lane != lane) {
      continue;
    }
    const uint32_t its = each.result == outcome::ok ? each.position : position_of(i, lane);
    const uint32_t loss = its - record_stride(each.loss_length);
    const uint32_t length = record_header_size + each.asked.length;
    if (static_cast<int32_t>(its - position) < 0) {
      // A record that is being closed may be taken before the log knows.
      check(hostile || each.end != fate::open || each.running, "R1: consumed is past an open record", position, its);
      continue;
    }
    if (loss != its && static_cast<int32_t>(loss - position) >= 0) {
      if (loss != position || position == end) return fail("R4: LOSS is not where it must be", position, loss);
      check_record(ring, i, true, last_time);
      position += record_stride(each.loss_length);
    }
    if (its != position || position == end) return fail("a record is not where it must be", position, its);
    check_record(ring, i, false, last_time);
    position += record_stride(length);
  }
  check(position == end, "something is published that nobody wrote", end, position);
}

void world::check_record(uint32_t ring, uint32_t index, bool loss, uint64_t& last_time) {
  const log_entry& its = now().log[index];
  const bool halfway = its.result == outcome::running;
  const uint32_t record = halfway ? position_of(index, ring % lanes_per_cpu) : its.position;
  const record_header& seen = header(ring, loss ? record - record_stride(its.loss_length) : record);
  const record_state state = state_of(seen.state_and_length);
  const uint32_t length = loss ? its.loss_length : record_header_size + its.asked.length;
  const uint16_t type = loss ? record_type_loss : its.asked.type;
  const bool critical = loss || type == critical_type;
  check(length_of(seen.state_and_length) == length, "length of a published header", length_of(seen.state_and_length), length);
  check(seen.type == type && seen.version == 1, "type of a published header", seen.type, type);
  check(seen.flags == (critical ? record_flag_critical : 0), "flags of a published header", seen.flags);
  if (halfway && !loss) states_seen |= 1u << static_cast<uint32_t>(state);

  const record_state final_state =
      its.asked.what == deed::discard && !loss ? record_state::discarded : record_state::committed;
  bool allowed = false;
  if (halfway && (loss || its.asked.what == deed::write)) {
    allowed = state == record_state::reserved || state == record_state::committed;
  } else if (halfway) {
    allowed = state == record_state::reserved || state == record_state::stamped;
  } else if (loss || its.end != fate::open) {
    allowed = state == final_state;
  } else {
    allowed = state == record_state::stamped || (its.running && state == final_state);
  }
  check(allowed, "state of a published header", static_cast<uint32_t>(state), static_cast<uint32_t>(its.end));

  if (state < record_state::stamped) return;
  const uint64_t time = time_of(seen);
  check(time >= last_time, "R2: time falls within a ring", time, last_time);
  check(time >= its.earliest && time <= (halfway ? now().counter : its.latest) + 2, "a time that no clock read gave", time,
        its.earliest);
  last_time = time;
  if (state != record_state::committed) return;
  const uint8_t* const payload = reinterpret_cast<const uint8_t*>(&seen) + record_header_size;
  if (loss) return check_loss(payload, length - record_header_size, index);
  check(intact(payload, index), "a committed record's payload is torn", index);
}

// R3: attempted (the ledger), what is in the rings (headers), what was passed (the ledger), and the log.
void world::inspect_account(uint32_t cpu) {
  const producer_rings& producer = now().producers[cpu];
  const bool halfway = now().section[cpu] != 0;
  const auto positions = producer.where();
  for (const uint16_t type : checked_types) {
    account_row row = producer.row(type);
    check(row.attempted >= now().attempted_seen[cpu][type], "R3: attempted falls", type);
    now().attempted_seen[cpu][type] = row.attempted;

    account_row wanted{};
    uint64_t closing = 0;
    for (uint32_t i = 0; i < now().log_count; ++i) {
      const log_entry& each = now().log[i];
      if (each.asked.cpu != cpu || each.result == outcome::running) continue;
      if (type == record_type_loss && each.loss_length != 0) {
        ++wanted.attempted;
        ++wanted.committed;
      }
      if (each.asked.type != type) continue;
      ++wanted.attempted;
      if (each.result == outcome::dropped) {
        ++wanted.dropped[static_cast<uint32_t>(
            record_header_size + each.asked.length > main_geometry.max_record ? drop_reason::too_long
            : hostile && producer.violations() != 0                           ? drop_reason::violation
            : type == critical_type                                           ? drop_reason::critical_full
                                                                              : drop_reason::ring_full)];
      } else {
        ++(each.end == fate::committed ? wanted.committed : each.end == fate::discarded ? wanted.discarded : wanted.open);
        if (each.end == fate::open && each.running) ++closing;
      }
    }
    if (halfway) {
      check(row.attempted - wanted.attempted <= 1, "R3: attempted in a section", row.attempted, wanted.attempted);
      continue;
    }
    for (uint32_t lane = 0; lane < lanes_per_cpu; ++lane) {
      for (uint32_t at = positions.reclaimed[lane]; at != positions.written[lane];) {
        const record_header& seen = header(2 * cpu + lane, at);
        const record_state state = state_of(seen.state_and_length);
        const uint32_t stride = record_stride(length_of(seen.state_and_length));
        if (stride < record_header_size || stride > positions.written[lane] - at) return fail("R3: the walk is lost", at);
        if (seen.type == type) {
          ++(state == record_state::committed ? row.committed : state == record_state::discarded ? row.discarded : row.open);
        }
        at += stride;
      }
    }
    check(row.balances(), "R3: attempted = committed + discarded + open + dropped, type", type);
    check(row.attempted == wanted.attempted, "R3: attempted", row.attempted, wanted.attempted);
    if (!hostile) {
      for (uint32_t i = 0; i < drop_reason_count; ++i) {
        check(row.dropped[i] == wanted.dropped[i], "R3: dropped, by reason", row.dropped[i], wanted.dropped[i]);
      }
    }
    check(row.dropped_total() == wanted.dropped_total(), "R3: dropped", row.dropped_total(), wanted.dropped_total());
    check(wanted.open - row.open <= closing, "R3: open", row.open, wanted.open);
    check(row.committed - wanted.committed + row.discarded - wanted.discarded == wanted.open - row.open,
          "R3: closed", row.committed, wanted.committed);
  }
}

// R4: the published figures are never torn: as they were, or with the one event that is being dropped.
void world::inspect_figures(uint32_t cpu) {
  loss_summary seen;
  if (!read_loss_figures(views[2 * cpu].producer->loss, seen)) {
    return check(now().section[cpu] != 0, "R4: the figures are being written, but nobody writes");
  }
  loss_summary wanted;
  const log_entry* last = nullptr;
  uint32_t last_index = 0;
  for (uint32_t i = 0; i < now().log_count; ++i) {
    const log_entry& each = now().log[i];
    if (each.asked.cpu != cpu || each.result == outcome::ok) continue;
    if (each.result == outcome::running && (!in_section(i) || seen.events == wanted.events)) continue;
    ++wanted.events;
    wanted.bytes += record_header_size + each.asked.length;
    ++wanted.dropped[each.asked.type];
    last = &each;
    last_index = i;
  }
  check(seen.events == wanted.events, "R4: figures: events", seen.events, wanted.events);
  check(seen.bytes == wanted.bytes, "R4: figures: bytes", seen.bytes, wanted.bytes);
  for (const uint16_t type : checked_types) {
    check(seen.dropped[type] == wanted.dropped[type], "R4: figures: events of a type", seen.dropped[type],
          wanted.dropped[type]);
  }
  if (last == nullptr) return;
  const log_entry* first = last;
  for (uint32_t i = 0; i < last_index; ++i) {
    if (in_gap_before(last_index, i)) {
      first = &now().log[i];
      break;
    }
  }
  const auto within = [this](uint64_t time, const log_entry& of) {
    return time >= of.earliest && time <= (of.result == outcome::running ? now().counter : of.latest);
  };
  check(within(seen.last_time, *last), "R4: figures: last time", seen.last_time, last->earliest);
  check(within(seen.first_time, *first), "R4: figures: first time", seen.first_time, first->earliest);
}

}  // namespace sluice::instruction
