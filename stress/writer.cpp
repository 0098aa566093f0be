#include "stress/writer.h"

#include <cstring>

namespace sluice::stress {

writer::writer(rig& on, uint32_t index)
    : rig_(on), index_(index), tally_(on.options.cpus), buffer_(on.options.max_record + 4096) {}

event_head writer::compose(uint16_t, uint32_t length, bool keep, uint32_t cpu) const {
  event_head head{};
  head.context = {event_pid, first_event_tid + index_};
  head.writer = index_;
  head.payload_length = length;
  head.sequence = keep ? sequence_ : no_number;
  head.serial = no_number;
  head.cpu = cpu;
  head.flags = keep ? 0 : head_flag_discard;
  return head;
}

// In the section.
void writer::compose_truth(event_head& head, uint32_t cpu, uint16_t type, bool keep) {
  cpu_truth& truth = rig_.truth[cpu];
  head.serial = keep ? truth.serial : no_number;
  head.dropped = truth.dropped;
  head.dropped_own = truth.dropped_of[type];
  // Each free call that dropped before this section has begun; those that have finished were counted before.
  const uint64_t finished = truth.free_finished.load(std::memory_order_relaxed);
  const uint64_t dropped = truth.free_dropped.load(std::memory_order_relaxed);
  const uint64_t begun = truth.free_begun.load(std::memory_order_relaxed);
  head.free_dropped_low = static_cast<uint32_t>(dropped);
  head.free_dropped_high = static_cast<uint32_t>(dropped + (begun - finished));
}

// In the section: R1 for both lanes.
writer::room writer::check_positions(uint32_t cpu) {
  room result{};
  const kernel_rings::positions where = rig_.channel.rings(cpu).where();
  for (uint32_t lane = 0; lane < lanes_per_cpu; ++lane) {
    const region_view<native_seam>& view = rig_.channel.region(cpu, lane);
    const uint32_t used = where.written[lane] - where.reclaimed[lane];
    const uint32_t consumed = view.consumer->consumed.load(memory_order::relaxed);
    if (used > view.geometry.capacity || consumed - where.reclaimed[lane] > used) {
      broken("R1", cpu, "lane {}: reclaimed {:#x}, consumed {:#x}, written {:#x}, capacity {:#x}", lane,
             where.reclaimed[lane], consumed, where.written[lane], view.geometry.capacity);
    }
    if (view.producer->published.load(memory_order::relaxed) != where.written[lane]) {
      broken("R1", cpu, "lane {}: published is not the write position at the end of a section", lane);
    }
    result.used[lane] = used;
  }
  return result;
}

// In the section, after an event found no room: R6, and nothing is dropped for which there was room.
void writer::check_refusal(uint32_t cpu, uint16_t type, uint32_t length) {
  const room now = check_positions(cpu);
  const auto fits = [&](uint32_t lane, uint32_t limit) {
    // Beside the event a LOSS record may be needed; how long it would be is the ring's business.
    return now.used[lane] + record_stride(record_header_size + length) + max_loss_record <= limit;
  };
  const ring_geometry& main = rig_.channel.region(cpu, lane_main).geometry;
  const ring_geometry& spare = rig_.channel.region(cpu, lane_spare).geometry;
  const bool critical = is_critical_type(type);
  if (fits(lane_main, critical ? main.capacity : main.capacity - main.critical_bytes)) {
    broken("R6", cpu, "a {} event of {} bytes was refused, though the ring had room: {} of {} bytes used",
           critical ? "critical" : "ordinary", length, now.used[lane_main], main.capacity);
  }
  if (critical && record_header_size + length <= spare.max_record && fits(lane_spare, spare.capacity)) {
    broken("R6", cpu, "a critical event of {} bytes was refused, though the spare ring had room: {} of {} bytes used",
           length, now.used[lane_spare], spare.capacity);
  }
}

void writer::refused(uint32_t cpu, uint16_t type, uint32_t length) {
  tally_row& row = tally_.row(cpu, type);
  ++row.dropped;
  row.dropped_bytes += record_header_size + length;
}

bool writer::reserve_in_section(uint16_t type, uint32_t length, bool keep, held_record& held) {
  const dispatch_section section;
  const uint32_t cpu = section.cpu();
  cpu_truth& truth = rig_.truth[cpu];
  held.head = compose(type, length, keep, cpu);
  compose_truth(held.head, cpu, type, keep);
  ++truth.attempted_of[type];
  ++attempts_;
  tally_row& row = tally_.row(cpu, type);
  ++row.attempted;

  uint32_t said = 0;
  const room before = check_positions(cpu);
  if (rig_.channel.reserve(type, 1, length, held.record, said) != reserve_status::ok) {
    check_refusal(cpu, type, length);
    ++truth.dropped;
    ++truth.dropped_of[type];
    refused(cpu, type, length);
    return false;
  }
  if (said != cpu) broken("R1", cpu, "reserve put the record on CPU {} inside the section of another", said);
  if (held.record.payload_length() != length) broken("R1", cpu, "reserve gave {} bytes, not {}", held.record.payload_length(), length);

  const region_view<native_seam>& spare = rig_.channel.region(cpu, lane_spare);
  const uint8_t* const spare_begin = spare.data.bytes(0);
  const bool in_spare = held.record.payload() > spare_begin &&
                        held.record.payload() <= spare_begin + spare.geometry.capacity + spare.geometry.max_record;
  const uint32_t lane = in_spare ? lane_spare : lane_main;
  const room after = check_positions(cpu);
  const ring_geometry& geometry = rig_.channel.region(cpu, lane).geometry;
  if (!is_critical_type(type)) {
    if (in_spare) broken("R6", cpu, "an ordinary event went to the spare ring");
    if (after.used[lane_main] > geometry.capacity - geometry.critical_bytes) {
      broken("R6", cpu, "an ordinary event took of the critical part: {} of {} bytes used, {} kept", after.used[lane_main],
             geometry.capacity, geometry.critical_bytes);
    }
  } else if (in_spare && before.used[lane_main] + record_stride(record_header_size + length) + max_loss_record <=
                             rig_.channel.region(cpu, lane_main).geometry.capacity) {
    broken("R6", cpu, "a critical event went to the spare ring though the main ring had room");
  }
  held.cpu = cpu;
  held.type = type;
  held.lane = static_cast<uint8_t>(lane);
  held.keep = keep;
  held.position = rig_.channel.rings(cpu).where().written[lane] - record_stride(record_header_size + length);
  held.head.position = held.position;
  held.head.flags |= head_flag_position | (in_spare ? head_flag_spare : 0);
  if (keep) {
    ++truth.serial;
    ++sequence_;
    ++row.kept;
  } else {
    ++row.discarded;
  }
  return true;
}

bool writer::write_in_section(uint16_t type, uint32_t length) {
  const dispatch_section section;
  const uint32_t cpu = section.cpu();
  cpu_truth& truth = rig_.truth[cpu];
  event_head head = compose(type, length, true, cpu);
  compose_truth(head, cpu, type, true);
  rig_.fill(buffer_.data(), head, false);
  ++truth.attempted_of[type];
  ++attempts_;
  tally_row& row = tally_.row(cpu, type);
  ++row.attempted;
  if (rig_.channel.write(type, 1, buffer_.data(), length) != reserve_status::ok) {
    check_refusal(cpu, type, length);
    ++truth.dropped;
    ++truth.dropped_of[type];
    refused(cpu, type, length);
    return false;
  }
  const room after = check_positions(cpu);
  const ring_geometry& geometry = rig_.channel.region(cpu, lane_main).geometry;
  if (!is_critical_type(type) && after.used[lane_main] > geometry.capacity - geometry.critical_bytes) {
    broken("R6", cpu, "an ordinary event took of the critical part: {} of {} bytes used", after.used[lane_main],
           geometry.capacity);
  }
  ++truth.serial;
  ++sequence_;
  ++row.kept;
  return true;
}

bool writer::write_anonymous(uint32_t length) {
  const dispatch_section section;
  const uint32_t cpu = section.cpu();
  cpu_truth& truth = rig_.truth[cpu];
  put_anonymous(buffer_.data(), length);
  ++truth.attempted_of[event_type::anonymous];
  ++attempts_;
  tally_row& row = tally_.row(cpu, event_type::anonymous);
  ++row.attempted;
  if (rig_.channel.write(event_type::anonymous, 1, buffer_.data(), length) != reserve_status::ok) {
    check_refusal(cpu, event_type::anonymous, length);
    ++truth.dropped;
    ++truth.dropped_of[event_type::anonymous];
    refused(cpu, event_type::anonymous, length);
    return false;
  }
  ++row.kept;
  return true;
}

void writer::count_free(uint32_t cpu, uint16_t type, uint32_t length, bool ok, bool keep) {
  ++attempts_;
  tally_row& row = tally_.row(cpu, type);
  ++row.attempted;
  if (!ok) {
    refused(cpu, type, length);
  } else if (keep) {
    ++sequence_;
    ++row.kept;
  } else {
    ++row.discarded;
  }
}

bool writer::write_freely(uint16_t type, uint32_t length) {
  const bool pinned = is_free_type(type);
  const uint32_t cpu = pinned ? KeGetCurrentProcessorNumberEx(nullptr) : unknown_cpu;
  event_head head = compose(type, length, true, cpu);
  rig_.fill(buffer_.data(), head, false);
  if (pinned) rig_.truth[cpu].free_begun.fetch_add(1, std::memory_order_relaxed);
  const bool ok = rig_.channel.write(type, 1, buffer_.data(), length) == reserve_status::ok;
  if (pinned) {
    if (!ok) rig_.truth[cpu].free_dropped.fetch_add(1, std::memory_order_relaxed);
    rig_.truth[cpu].free_finished.fetch_add(1, std::memory_order_relaxed);
  }
  count_free(cpu, type, length, ok, true);
  return ok;
}

bool writer::reserve_freely(uint16_t type, uint32_t length, bool keep, reservation& held, event_head& head) {
  const bool pinned = is_free_type(type);
  const uint32_t cpu = pinned ? KeGetCurrentProcessorNumberEx(nullptr) : unknown_cpu;
  head = compose(type, length, keep, cpu);
  if (pinned) rig_.truth[cpu].free_begun.fetch_add(1, std::memory_order_relaxed);
  const bool ok = rig_.channel.reserve_event(type, length, held);
  if (pinned) {
    if (!ok) rig_.truth[cpu].free_dropped.fetch_add(1, std::memory_order_relaxed);
    rig_.truth[cpu].free_finished.fetch_add(1, std::memory_order_relaxed);
  }
  count_free(cpu, type, length, ok, keep);
  return ok;
}

void writer::write_too_long(uint16_t type) {
  const dispatch_section section;
  const uint32_t cpu = section.cpu();
  const uint32_t length = rig_.longest_payload + 1 + attempts_ % 64;
  cpu_truth& truth = rig_.truth[cpu];
  ++truth.attempted_of[type];
  ++attempts_;
  tally_row& row = tally_.row(cpu, type);
  ++row.attempted;
  held_record held;
  uint32_t said = 0;
  const bool refuses = attempts_ % 2 != 0 ? rig_.channel.write(type, 1, buffer_.data(), length) != reserve_status::ok
                                          : rig_.channel.reserve(type, 1, length, held.record, said) != reserve_status::ok;
  if (!refuses) broken("R1", cpu, "a record of {} bytes was accepted; the longest is {}", length, rig_.longest_payload);
  ++truth.dropped;
  ++truth.dropped_of[type];
  ++row.too_long;
  row.dropped_bytes += record_header_size + length;
}

}  // namespace sluice::stress
