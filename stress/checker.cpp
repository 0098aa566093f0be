#include "stress/checker.h"

#include <algorithm>
#include <cstring>

#include "stress/glance.h"

namespace sluice::stress {
namespace {

uint32_t ring_of(const view_of_record& record) { return record.cpu * lanes_per_cpu + record.lane; }

}  // namespace

checker::checker(rig& on, uint32_t writers)
    : rig_(on), cpus_(on.options.cpus), ring_positions_(on.options.cpus * lanes_per_cpu, on.options.start_position),
      writers_(writers), received_(on.options.cpus * max_record_types), announced_(received_.size()) {}

void checker::emitted(const view_of_record& record) {
  remember(record);
  if (record.cpu >= cpus_.size() || record.lane >= lanes_per_cpu || record.type() >= max_record_types) {
    broken("M2", no_cpu, "a record of CPU {}, lane {}, type {}", record.cpu, record.lane, record.type());
  }
  check_place(record);
  ++received_[record.cpu * max_record_types + record.type()];
  ++total_;
  bytes_ += record.length;
  if (record.type() == record_type_loss) {
    check_loss(record);
  } else {
    check_event_record(record);
  }
}

void checker::set_aside(const view_of_record& record) {
  if (!set_aside_.emplace(ring_of(record), record.position).second) {
    broken("M2", record.cpu, "the record at {:#x} (lane {}) was set aside twice", record.position, record.lane);
  }
  cpu_state& cpu = cpus_[record.cpu];
  if (record.time < cpu.last_time) broken("R2", record.cpu, "time goes back in the ring, at a record set aside");
  cpu.last_time = record.time;
  cpu.last_lane = record.lane;
}

void checker::forget_set_aside(uint32_t ring, uint64_t position) {
  auto at = set_aside_.lower_bound({ring, 0});
  while (at != set_aside_.end() && at->first == ring && at->second < position) at = set_aside_.erase(at);
}

bool checker::any_set_aside_closed() const {
  for (const auto& [ring, position] : set_aside_) {
    const region_view<native_seam>& view = rig_.channel.region(ring / lanes_per_cpu, ring % lanes_per_cpu);
    if (look_at(view, static_cast<uint32_t>(position)).state == record_state::committed) return true;
  }
  return false;
}

void checker::check_place(const view_of_record& record) {
  const uint32_t ring = ring_of(record);
  if (auto found = set_aside_.find({ring, record.position}); found != set_aside_.end()) {
    if (!record.late) broken("M1", record.cpu, "a record that was set aside is not marked late");
    set_aside_.erase(found);
    ++late_;
    return;
  }
  if (record.position < ring_positions_[ring]) {
    broken("M2", record.cpu, "position {:#x} (lane {}) was emitted before", record.position, record.lane);
  }
  ring_positions_[ring] = record.position + record_stride(record.length);

  cpu_state& cpu = cpus_[record.cpu];
  if (record.late) {
    if (rig_.options.order == order_kind::exact) {
      broken("M1", record.cpu, "in exact order, a record with time {} is late: {} was emitted before it", record.time,
             last_.time);
    }
    ++late_;
    ++late_by_margin_;
    return;
  }
  const bool after = record.time != last_.time ? record.time > last_.time
                     : ring != last_.ring      ? ring > last_.ring
                                               : record.position > last_.position;
  if (total_ != 0 && !after) {
    broken("M1", record.cpu, "(time {}, ring {}, position {:#x}) was emitted after (time {}, ring {}, position {:#x})",
           record.time, ring, record.position, last_.time, last_.ring, last_.position);
  }
  last_ = {record.time, ring, record.position};
  // R2 over both lanes of the CPU: strictly rising where the lane changes.
  if (record.time < cpu.last_time || (record.time == cpu.last_time && record.lane != cpu.last_lane && cpu.last_time != 0)) {
    broken("R2", record.cpu, "time {} in lane {} after time {} in lane {}", record.time, record.lane, cpu.last_time,
           cpu.last_lane);
  }
}

void checker::check_loss(const view_of_record& record) {
  cpu_state& cpu = cpus_[record.cpu];
  if (record.payload_length() < sizeof(loss_payload)) broken("R4", record.cpu, "a LOSS record that is too short");
  loss_payload loss;
  std::memcpy(&loss, record.payload(), sizeof loss);
  if (record.payload_length() != sizeof loss + loss.entry_count * sizeof(loss_entry) || loss.entry_count == 0) {
    broken("R4", record.cpu, "a LOSS record of {} bytes has {} entries", record.payload_length(), loss.entry_count);
  }
  if (loss.first_time > loss.last_time || loss.last_time > record.time || loss.first_time < cpu.last_time) {
    broken("R4", record.cpu, "a LOSS record at {} tells of a gap from {} to {}; the record before it has time {}",
           record.time, loss.first_time, loss.last_time, cpu.last_time);
  }
  uint64_t sum = 0;
  uint32_t last_type = 0;
  for (uint32_t i = 0; i < loss.entry_count; ++i) {
    loss_entry entry;
    std::memcpy(&entry, record.payload() + sizeof loss + i * sizeof entry, sizeof entry);
    if (entry.type >= max_record_types || entry.type <= last_type || entry.events == 0) {
      broken("R4", record.cpu, "entry {} of a LOSS record: type {}, {} events", i, entry.type, entry.events);
    }
    last_type = entry.type;
    sum += entry.events;
    announced_[record.cpu * max_record_types + entry.type] += entry.events;
    if (is_section_type(entry.type)) cpu.section_announced += entry.events;
    if (is_free_type(entry.type)) cpu.free_announced += entry.events;
  }
  if (sum != loss.events) broken("R4", record.cpu, "a LOSS record of {} events; its entries say {}", loss.events, sum);
  cpu.announced_bytes += loss.bytes;
  cpu.loss_end[record.lane] = record.position + record_stride(record.length);
  cpu.loss_time[record.lane] = record.time;
  cpu.last_time = record.time;
  cpu.last_lane = record.lane;
}

void checker::check_event_record(const view_of_record& record) {
  cpu_state& cpu = cpus_[record.cpu];
  if (cpu.loss_end[record.lane] == record.position && cpu.loss_time[record.lane] != record.time) {
    broken("R4", record.cpu, "the LOSS record before an event of time {} has time {}", record.time,
           cpu.loss_time[record.lane]);
  }
  if (!record.late) {
    cpu.last_time = record.time;
    cpu.last_lane = record.lane;
  }
  if (record.type() == event_type::anonymous) {
    if (!is_anonymous(record.payload(), record.payload_length())) {
      broken("M2", record.cpu, "the content of a short record of {} bytes is not what was written", record.payload_length());
    }
    return;
  }
  event_head head;
  if (const char* wrong = check_event(record.payload(), record.payload_length(), rig_.filler, head)) {
    broken("M2", record.cpu, "the content of the record at {:#x} (lane {}, type {}, {} bytes) is not what was written: {}",
           record.position, record.lane, name_of_type(record.type()), record.length, wrong);
  }
  if (head.flags & head_flag_discard) broken("M2", record.cpu, "a record of writer {} that was discarded", head.writer);
  if (head.writer >= writers_.size() || head.context.tid != first_event_tid + head.writer || head.context.pid != event_pid) {
    broken("M2", record.cpu, "context ({}, {}) of writer {}", head.context.pid, head.context.tid, head.writer);
  }
  if (head.cpu != unknown_cpu && head.cpu != record.cpu) {
    broken("M2", record.cpu, "its writer was on CPU {}", head.cpu);
  }
  if (head.flags & head_flag_position) {
    const uint32_t lane = head.flags & head_flag_spare ? lane_spare : lane_main;
    if (head.position != static_cast<uint32_t>(record.position) || lane != record.lane) {
      broken("M2", record.cpu, "position {:#x} in lane {}; its writer reserved {:#x} in lane {}", record.position,
             record.lane, head.position, lane);
    }
  }
  if (is_section_type(record.type())) {
    check_serial(record, head);
    if (!record.late) check_announced(record, head);
  }
  check_sequence(record, head);
}

// Section events of a CPU have serial numbers without a gap.
void checker::check_serial(const view_of_record& record, const event_head& head) {
  cpu_state& cpu = cpus_[record.cpu];
  if (head.serial < cpu.next_serial) {
    if (cpu.missing.erase(head.serial) == 0) broken("M2", record.cpu, "serial {} came twice", head.serial);
    if (!record.late) broken("M1", record.cpu, "serial {} came after {} and is not late", head.serial, cpu.next_serial - 1);
    return;
  }
  while (cpu.next_serial < head.serial) cpu.missing.insert(cpu.next_serial++);
  ++cpu.next_serial;
  if (cpu.missing.size() > outstanding_(record.cpu)) {
    broken("M2", record.cpu, "serial {} came; {} before it are missing, among them {}, but only {} records are set aside",
           head.serial, cpu.missing.size(), *cpu.missing.begin(), outstanding_(record.cpu));
  }
}

// Events of a writer, in the order in which it reserved them: their times rise; across CPUs up to one tick.
void checker::check_sequence(const view_of_record& record, const event_head& head) {
  writer_state& writer = writers_[head.writer];
  ++writer.count;
  if (head.sequence < writer.next) {
    if (writer.missing.erase(head.sequence) == 0) {
      broken("M2", record.cpu, "event {} of writer {} came twice", head.sequence, head.writer);
    }
    if (!record.late && (record.time + 1 < writer.last_time || record.cpu == writer.last_cpu)) {
      broken("M1", record.cpu, "event {} of writer {} (time {}) came after {} (time {}, CPU {})", head.sequence,
             head.writer, record.time, writer.next - 1, writer.last_time, writer.last_cpu);
    }
    return;
  }
  while (writer.next < head.sequence) writer.missing.insert(writer.next++);
  ++writer.next;
  if (!record.late) {
    writer.last_time = record.time;
    writer.last_cpu = record.cpu;
  }
  // One of each writer may stand on another CPU with the same time.
  if (writer.missing.size() > outstanding_everywhere() + 4) {
    broken("M2", record.cpu, "event {} of writer {} came; {} before it are missing, among them {}", head.sequence,
           head.writer, writer.missing.size(), *writer.missing.begin());
  }
}

// R4: what this CPU had dropped before this event has been announced before it, no more and no less.
void checker::check_announced(const view_of_record& record, const event_head& head) {
  const cpu_state& cpu = cpus_[record.cpu];
  const uint64_t own = announced_[record.cpu * max_record_types + record.type()];
  if (cpu.section_announced != head.dropped || own != head.dropped_own) {
    broken("R4", record.cpu,
           "before this event (writer {}, serial {}) its CPU had dropped {} section events, {} of type {}; announced are "
           "{} and {}",
           head.writer, head.serial, head.dropped, head.dropped_own, name_of_type(record.type()), cpu.section_announced,
           own);
  }
  const uint32_t above = static_cast<uint32_t>(cpu.free_announced) - head.free_dropped_low;
  if (above > head.free_dropped_high - head.free_dropped_low) {
    broken("R4", record.cpu, "before this event its CPU had dropped {} to {} free events; announced are {}",
           head.free_dropped_low, head.free_dropped_high, static_cast<uint32_t>(cpu.free_announced));
  }
}

uint64_t checker::announced_events(uint32_t cpu) const {
  uint64_t sum = 0;
  for (uint32_t type = 0; type < max_record_types; ++type) sum += announced(cpu, type);
  return sum;
}

uint32_t checker::outstanding_everywhere() const {
  uint32_t sum = 0;
  for (uint32_t cpu = 0; cpu < cpus_.size(); ++cpu) sum += outstanding_(cpu);
  return sum;
}

void checker::check_complete(const std::vector<uint64_t>& sequences) const {
  for (uint32_t cpu = 0; cpu < cpus_.size(); ++cpu) {
    if (!cpus_[cpu].missing.empty()) {
      broken("M2", cpu, "at rest, {} section events are missing, the first with serial {}", cpus_[cpu].missing.size(),
             *cpus_[cpu].missing.begin());
    }
    if (cpus_[cpu].next_serial != rig_.truth[cpu].serial) {
      broken("M2", cpu, "at rest, the last section event came with serial {}; {} were committed",
             cpus_[cpu].next_serial - 1, rig_.truth[cpu].serial);
    }
  }
  for (uint32_t i = 0; i < writers_.size(); ++i) {
    if (writers_[i].count != sequences[i] || !writers_[i].missing.empty()) {
      broken("M2", no_cpu, "at rest, {} of the {} committed events of writer {} have come, {} are known to be missing",
             writers_[i].count, sequences[i], i, writers_[i].missing.size());
    }
  }
}

void checker::remember(const view_of_record& record) {
  if (record.cpu >= cpus_.size()) return;
  cpu_state& cpu = cpus_[record.cpu];
  brief& entry = cpu.history[cpu.history_count++ % std::size(cpu.history)];
  entry = {record.time, record.position, no_number, no_number, record.length, 0, record.type(), record.lane, record.late};
  if (record.type() >= event_type::first && record.payload_length() >= sizeof(event_head)) {
    event_head head;
    std::memcpy(&head, record.payload(), sizeof head);
    entry.sequence = head.sequence;
    entry.serial = head.serial;
    entry.writer = head.writer;
  }
}

void checker::dump(uint32_t cpu) const {
  const cpu_state& state = cpus_[cpu];
  fmt::print(stderr, "  last records emitted from CPU {} (the newest last):\n", cpu);
  const uint32_t shown = std::min<uint32_t>(state.history_count, std::size(state.history));
  for (uint32_t i = state.history_count - shown; i != state.history_count; ++i) {
    const brief& entry = state.history[i % std::size(state.history)];
    fmt::print(stderr, "    lane {} position {:#010x} length {:5} time {} {:18} writer {:3} sequence {} serial {}{}\n",
               entry.lane, entry.position, entry.length, entry.time, name_of_type(entry.type), entry.writer,
               static_cast<int64_t>(entry.sequence), static_cast<int64_t>(entry.serial), entry.late ? " late" : "");
  }
}

}  // namespace sluice::stress
