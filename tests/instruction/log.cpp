// What the log says about rings: where records must stand, what a LOSS record must hold, whether an event had to be
// dropped. Only the log and the sizes are used, nothing that the pipeline wrote.
#include <cstring>

#include "tests/instruction/world.h"

namespace sluice::instruction {

uint32_t world::end_of(uint32_t cpu, uint32_t lane, uint32_t before) const {
  for (uint32_t i = before; i-- != 0;) {
    const log_entry& each = now().log[i];
    if (each.asked.cpu != cpu || each.result != outcome::ok || each.lane != lane) continue;
    return each.position + record_stride(record_header_size + each.asked.length);
  }
  return views[2 * cpu + lane].start_position;
}

uint32_t world::position_of(uint32_t index, uint32_t lane) const {
  const log_entry& its = now().log[index];
  return end_of(its.asked.cpu, lane, index) + record_stride(its.loss_length);
}

// Whether entry `dropped` is missing right in front of entry `index`.
bool world::in_gap_before(uint32_t index, uint32_t dropped) const {
  const uint8_t cpu = now().log[index].asked.cpu;
  for (uint32_t i = index; i-- != dropped;) {
    if (now().log[i].asked.cpu == cpu && now().log[i].result == outcome::ok) return false;
  }
  return now().log[dropped].asked.cpu == cpu && now().log[dropped].result == outcome::dropped;
}

uint32_t world::expected_loss_length(uint32_t cpu, uint32_t before) const {
  uint64_t types = 0;
  for (uint32_t i = before; i-- != 0;) {
    const log_entry& each = now().log[i];
    if (each.asked.cpu != cpu) continue;
    if (each.result == outcome::ok) break;
    if (each.result == outcome::dropped) types |= uint64_t{1} << each.asked.type;
  }
  if (types == 0) return 0;
  const uint32_t count = static_cast<uint32_t>(__builtin_popcountll(types));
  return record_header_size + static_cast<uint32_t>(sizeof(loss_payload) + count * sizeof(loss_entry));
}

void world::check_loss(const uint8_t* payload, uint32_t length, uint32_t before) {
  loss_payload fixed;
  std::memcpy(&fixed, payload, sizeof fixed);
  uint64_t events[max_record_types] = {};
  loss_payload wanted{};
  const log_entry* first = nullptr;
  const log_entry* last = nullptr;
  for (uint32_t i = 0; i < before; ++i) {
    const log_entry& each = now().log[i];
    if (!in_gap_before(before, i)) continue;
    if (first == nullptr) first = &each;
    last = &each;
    wanted.entry_count += events[each.asked.type]++ == 0;
    wanted.bytes += record_header_size + each.asked.length;
    ++wanted.events;
  }
  if (first == nullptr) return fail("R4: LOSS where nothing was dropped");
  check(fixed.entry_count == wanted.entry_count, "R4: types of LOSS", fixed.entry_count, wanted.entry_count);
  check(fixed.bytes == wanted.bytes, "R4: bytes of LOSS", fixed.bytes, wanted.bytes);
  check(fixed.events == wanted.events, "R4: events of LOSS", fixed.events, wanted.events);
  check(fixed.first_time >= first->earliest && fixed.first_time <= first->latest, "R4: first time of LOSS",
        fixed.first_time, first->earliest);
  check(fixed.last_time >= last->earliest && fixed.last_time <= last->latest, "R4: last time of LOSS", fixed.last_time,
        last->earliest);
  if (length != sizeof fixed + fixed.entry_count * sizeof(loss_entry)) return fail("R4: length of LOSS", length);
  for (uint32_t i = 0, previous = 0; i < fixed.entry_count; ++i) {
    loss_entry entry;
    std::memcpy(&entry, payload + sizeof fixed + i * sizeof entry, sizeof entry);
    check(entry.type > previous && entry.type < max_record_types, "R4: types of LOSS rise", entry.type, previous);
    check(entry.events == events[entry.type % max_record_types], "R4: events of a type in LOSS", entry.events, entry.type);
    previous = entry.type;
  }
}

// R1 and R6 where a section ends: what went in was allowed to, what was dropped had to be.
void world::check_room(const log_entry& of) {
  const uint32_t cpu = of.asked.cpu;
  const bool critical = of.asked.type == critical_type;
  const auto end = now().producers[cpu].where();
  const uint32_t ordinary_limit = main_geometry.capacity - main_geometry.critical_bytes;
  const uint32_t limits[] = {critical ? main_geometry.capacity : ordinary_limit, critical ? spare_geometry.capacity : 0};
  const uint32_t length = record_header_size + of.asked.length;
  if (of.result == outcome::ok) {
    const uint32_t used = end.written[of.lane] - end.reclaimed[of.lane];
    check(used <= limits[of.lane], "R1, R6: more in the ring than this type may fill", used, limits[of.lane]);
    return;
  }
  if (length > main_geometry.max_record || hostile) return;
  const uint32_t index = static_cast<uint32_t>(&of - now().log);
  const uint32_t need = record_stride(length) + record_stride(expected_loss_length(cpu, index));
  for (uint32_t lane = 0; lane < lanes_per_cpu; ++lane) {
    check(end.written[lane] - of.consumed[lane] + need > limits[lane], "dropped although there was room in lane", lane);
  }
}

uint32_t world::find(uint32_t ring, uint32_t position, bool& is_loss) const {
  const machine& state = now();
  for (uint32_t i = state.log_count; i-- != 0;) {
    const log_entry& each = state.log[i];
    if (each.asked.cpu != ring / lanes_per_cpu || each.result == outcome::dropped) continue;
    if (each.result == outcome::ok && each.lane != ring % lanes_per_cpu) continue;
    const uint32_t its = each.result == outcome::ok ? each.position : position_of(i, ring % lanes_per_cpu);
    is_loss = each.loss_length != 0 && its - record_stride(each.loss_length) == position;
    if (is_loss || its == position) return i;
  }
  return ~0u;
}

bool world::intact(const uint8_t* payload, uint32_t index) const {
  return std::memcmp(payload, payload_of(index), now().log[index].asked.length) == 0;
}

}  // namespace sluice::instruction
