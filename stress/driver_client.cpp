#include "stress/driver_client.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>

#include "pipeline/loss.h"
#include "stress/report.h"

namespace sluice::stress {
namespace {

constexpr uint32_t client_pid = 4000;

template <class layout>
layout read_as(const uint8_t* bytes) {
  layout value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

}  // namespace

std::u16string value_key_of(uint32_t activity) {
  return u"\\REGISTRY\\MACHINE\\STRESS\\" + std::u16string(activity % 7 + 1, static_cast<char16_t>(u'a' + activity % 26));
}

std::u16string image_path_of(uint32_t activity, uint64_t number) {
  std::u16string path = u"\\Device\\HarddiskVolume1\\stress\\";
  for (const char digit : fmt::format("{}-{}.dll", activity, number)) path.push_back(static_cast<char16_t>(digit));
  path.resize(path.size() + number % 61, u'x');
  return path;
}

driver_client::driver_client(sim::machine& machine, uint32_t cpus, uint32_t activities, const filler& from)
    : machine_(machine), filler_(from), buffer_(protocol::min_read_bytes), next_position_(cpus * lanes_per_cpu),
      received_(cpus * max_record_types), announced_(received_.size()), figures_(received_.size()),
      overwritten_(received_.size()), lost_(max_record_types),
      activities_(activities) {
  open();
}

void driver_client::open() {
  const NTSTATUS status = file_.open(machine_, u"Sluice", client_pid);
  if (!NT_SUCCESS(status)) broken("set-up", no_cpu, "opening the device gave {:#x}", static_cast<uint32_t>(status));
}

bool driver_client::read(std::chrono::milliseconds timeout) {
  uint64_t bytes = 0;
  const NTSTATUS status = file_.read(buffer_, bytes, timeout);
  if (status == STATUS_TIMEOUT || status == STATUS_CANCELLED) return false;
  if (status != STATUS_SUCCESS) broken("device", no_cpu, "a read gave {:#x}", static_cast<uint32_t>(status));
  return check_batch(bytes);
}

void driver_client::leave_with_reads_pending(uint32_t reads, const std::function<void()>& wait) {
  struct answers final : sim::completion_port {
    std::vector<std::vector<uint8_t>> batches;
    uint32_t cancelled = 0;
    void completed(uint64_t, NTSTATUS status, std::span<const uint8_t> bytes) noexcept override {
      if (status == STATUS_SUCCESS) {
        batches.emplace_back(bytes.begin(), bytes.end());
      } else if (status == STATUS_CANCELLED) {
        ++cancelled;
      } else {
        broken("device", no_cpu, "a read of a handle that is closed gave {:#x}", static_cast<uint32_t>(status));
      }
    }
  } got;
  for (uint32_t i = 0; i < reads; ++i) file_.begin_read(protocol::min_read_bytes, i, got);
  wait();
  file_.close();
  if (got.batches.size() + got.cancelled != reads) {
    broken("device", no_cpu, "of {} reads {} were answered and {} cancelled", reads, got.batches.size(), got.cancelled);
  }
  for (const std::vector<uint8_t>& batch : got.batches) {
    std::copy(batch.begin(), batch.end(), buffer_.begin());
    (void)check_batch(batch.size());
  }
  open();
}

void driver_client::drain() {
  for (;;) {
    uint64_t bytes = 0;
    const NTSTATUS status = file_.control(protocol::code_flush, {}, {}, bytes);
    if (status != STATUS_SUCCESS) broken("device", no_cpu, "a flush gave {:#x}", static_cast<uint32_t>(status));
    if (!read(std::chrono::seconds(60))) return;
  }
}

bool driver_client::check_batch(uint64_t bytes) {
  const auto header = read_as<batch_header>(buffer_.data());
  if (header.magic != batch_magic || header.total_bytes != bytes) {
    broken("device", no_cpu, "a batch of {} bytes says it has {}", bytes, header.total_bytes);
  }
  ++batches_;
  bool news = false;
  uint32_t count = 0;
  for (uint64_t at = header.header_bytes; at != bytes; ++count) {
    const auto entry = read_as<batch_entry>(&buffer_[at]);
    const auto record = read_as<record_header>(&buffer_[at + sizeof entry]);
    const uint32_t length = length_of(record.state_and_length);
    if (entry.entry_bytes != batch_overhead(length) || entry.entry_bytes > bytes - at ||
        state_of(record.state_and_length) != record_state::committed || entry.lane >= lanes_per_cpu ||
        (entry.cpu * lanes_per_cpu >= next_position_.size() && (entry.flags & batch_flag_client_loss) == 0) || record.type >= max_record_types) {
      broken("device", no_cpu, "entry {} of a batch: {} bytes, record of {}, CPU {}", count, entry.entry_bytes, length,
             entry.cpu);
    }
    if (observe_) observe_(entry, record);
    const uint8_t* const payload = &buffer_[at + sizeof entry + sizeof record];
    if (entry.flags & batch_flag_figures) {
      const auto loss = read_as<loss_payload>(payload);
      for (uint32_t i = 0; i < loss.entry_count; ++i) {
        const auto line = read_as<loss_entry>(payload + sizeof loss + i * sizeof(loss_entry));
        figures_[entry.cpu * max_record_types + line.type] = line.events;
      }
    } else if (entry.flags & batch_flag_client_loss) {
      news = true;
      const auto loss = read_as<loss_payload>(payload);
      for (uint32_t i = 0; i < loss.entry_count; ++i) {
        const auto line = read_as<loss_entry>(payload + sizeof loss + i * sizeof(loss_entry));
        lost_[line.type] += line.events;
      }
    } else if (entry.flags & batch_flag_stream) {
      news = true;  // of no ring: it has no position
    } else {
      news = true;
      check_record(entry, record, payload, length - record_header_size);
    }
    at += entry.entry_bytes;
  }
  if (count != header.record_count) broken("device", no_cpu, "a batch of {} records holds {}", header.record_count, count);
  return news;
}

void driver_client::check_record(const batch_entry& entry, const record_header& record, const uint8_t* payload,
                                 uint32_t length) {
  const uint32_t ring = entry.cpu * lanes_per_cpu + entry.lane;
  const uint64_t time = time_of(record);
  if (entry.flags & batch_flag_late) {
    ++late_;
  } else {
    if (time < last_time_ || (time == last_time_ && ring < last_ring_)) {
      broken("M1", entry.cpu, "(time {}, ring {}) came after (time {}, ring {})", time, ring, last_time_, last_ring_);
    }
    last_time_ = time;
    last_ring_ = ring;
    // What tells of a gap stands where the gap begins, and is no record of the ring. A record that was set aside and then overwritten
    // is a gap in front of what was read meanwhile.
    if ((entry.flags & batch_flag_overwritten) == 0) {
      if (entry.position < next_position_[ring]) broken("M2", entry.cpu, "position {:#x} came twice", entry.position);
      next_position_[ring] = entry.position + record_stride(record_header_size + length);
    }
  }
  if (entry.flags & batch_flag_overwritten) return check_loss(entry, payload, length);
  ++received_[entry.cpu * max_record_types + record.type];
  ++total_;
  if (record.type == record_type_loss) check_loss(entry, payload, length);
  if (record.type == event_type_image_load) check_image(entry, payload, length);
  if (record.type == event_type_registry_set_value) check_value(entry, payload, length);
  if (record.type == own_type_) check_own(entry, time, payload, length);
}

void driver_client::check_loss(const batch_entry& entry, const uint8_t* payload, uint32_t length) {
  const auto loss = read_as<loss_payload>(payload);
  if (length != sizeof loss + loss.entry_count * sizeof(loss_entry)) broken("R4", entry.cpu, "a LOSS record of {} bytes", length);
  uint64_t sum = 0;
  for (uint32_t i = 0; i < loss.entry_count; ++i) {
    const auto line = read_as<loss_entry>(payload + sizeof loss + i * sizeof(loss_entry));
    const bool overwritten = (entry.flags & batch_flag_overwritten) != 0;
    (overwritten ? overwritten_ : announced_)[entry.cpu * max_record_types + line.type] += line.events;
    sum += line.events;
  }
  if (sum != loss.events) broken("R4", entry.cpu, "a LOSS record of {} events; its entries say {}", loss.events, sum);
}

// Each image at most once, with its path and size.
void driver_client::check_image(const batch_entry& entry, const uint8_t* payload, uint32_t length) {
  const auto image = read_as<image_load_payload>(payload);
  const auto activity = static_cast<uint32_t>(image.base >> 40) - 1;
  const uint64_t number = (image.base & ((1ull << 40) - 1)) >> 12;
  if (activity >= activities_.size() || image.size != number + 1) {
    broken("M2", entry.cpu, "an image at {:#x} of size {:#x}", image.base, image.size);
  }
  const std::u16string expected = image_path_of(activity, number);
  if (image.path.length != expected.size() * 2 || image.path.offset + image.path.length > length ||
      std::memcmp(payload + image.path.offset, expected.data(), image.path.length) != 0) {
    broken("M2", entry.cpu, "image {} of activity {}: its path is not what was given", number, activity);
  }
  std::vector<bool>& seen = activities_[activity].images;
  if (seen.size() <= number) seen.resize(number + 1024);
  if (seen[number]) broken("M2", entry.cpu, "image {} of activity {} came twice", number, activity);
  seen[number] = true;
}

// Each value at most once, with its key, its data and how setting it ended: what one callback captured and another wrote.
void driver_client::check_value(const batch_entry& entry, const uint8_t* payload, uint32_t length) {
  const auto value = read_as<registry_value_payload>(payload);
  const uint32_t number = value.value_type;
  const uint32_t activity = value.context.tid - first_activity_tid;
  if (content_may_miss_ && (value.key_path.length == 0 || value.data.length == 0)) return;
  if (activity >= activities_.size() || value.data.original_length != value_bytes_of(number) ||
      value.data.length != value.data.original_length || uint64_t{value.data.offset} + value.data.length > length) {
    broken("M2", entry.cpu, "value {} of thread {}: {} of {} bytes", number, value.context.tid, value.data.length,
           value.data.original_length);
  }
  if (value.outcome.status != value_status_of(number)) {
    broken("M2", entry.cpu, "value {} of activity {}: status {:#x}", number, activity,
           static_cast<uint32_t>(value.outcome.status));
  }
  for (uint32_t i = 0; i < value.data.length; ++i) {
    if (payload[value.data.offset + i] == value_byte_of(activity, number)) continue;
    broken("M2", entry.cpu, "value {} of activity {}: byte {} is not what was given", number, activity, i);
  }
  const std::u16string key = value_key_of(activity);
  if (value.key_path.length != key.size() * 2 || value.key_path.offset + value.key_path.length > length ||
      std::memcmp(payload + value.key_path.offset, key.data(), value.key_path.length) != 0) {
    broken("M2", entry.cpu, "value {} of activity {}: its key is not what was given", number, activity);
  }
  std::vector<bool>& seen = activities_[activity].values;
  if (seen.size() <= number) seen.resize(number + 1024);
  if (seen[number]) broken("M2", entry.cpu, "value {} of activity {} came twice", number, activity);
  seen[number] = true;
}

// Events of its own type, numbered by each activity: none is missing, and their times rise up to a tick.
void driver_client::check_own(const batch_entry& entry, uint64_t time, const uint8_t* payload, uint32_t length) {
  event_head head;
  if (const char* wrong = check_event(payload, length, filler_, head)) broken("M2", entry.cpu, "an own event: {}", wrong);
  if (head.writer >= activities_.size()) broken("M2", entry.cpu, "an own event of activity {}", head.writer);
  activity_state& state = activities_[head.writer];
  ++state.own;
  if (head.sequence >= state.next_own) {
    while (state.next_own < head.sequence) state.missing.emplace(state.next_own++, time);
    ++state.next_own;
    return;
  }
  const auto found = state.missing.find(head.sequence);
  if (found == state.missing.end()) broken("M2", entry.cpu, "own event {} of activity {} came twice", head.sequence, head.writer);
  if (!(entry.flags & batch_flag_late) && time + 1 < found->second) {
    broken("M1", entry.cpu, "own event {} of activity {} came too late", head.sequence, head.writer);
  }
  state.missing.erase(found);
}

uint64_t driver_client::lost() const { return std::accumulate(lost_.begin(), lost_.end(), uint64_t{0}); }

uint64_t driver_client::announced(uint32_t cpu, uint32_t type) const {
  return std::max(announced_[cpu * max_record_types + type], figures_[cpu * max_record_types + type]);
}

}  // namespace sluice::stress
