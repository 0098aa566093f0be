#include "stress/deterministic/port_reader.h"

#include <algorithm>
#include <cstring>

#include "kernel_port/driver/protocol.h"
#include "stress/deterministic/activity.h"
#include "stress/report.h"

namespace sluice::stress {
namespace {

constexpr uint32_t first_pid = 4100;

template <class layout>
std::span<const uint8_t> bytes_of(const layout& what) {
  return {reinterpret_cast<const uint8_t*>(&what), sizeof what};
}

}  // namespace

port_reader::port_reader(sim::machine& machine, const run_plan& plan, uint32_t index, const std::atomic<bool>& stop)
    : machine_(machine), plan_(plan), index_(index), stop_(stop), random_(plan.seed * 71 + index),
      buffer_(sizeof(sim::filter_message_header) + protocol::min_read_bytes), next_position_(plan.all_cpus() * lanes_per_cpu) {}

bool port_reader::connect() {
  protocol::port_context context{protocol::port_context_magic, protocol::version, ~uint64_t{0}, protocol::port_order_merged, 0, {}};
  context.name[0] = static_cast<char>('a' + index_);
  const NTSTATUS status = port_.connect(machine_, protocol::port_name, bytes_of(context), first_pid + index_);
  // Memory, or a thread, may have been refused.
  if (!NT_SUCCESS(status) && status != STATUS_INSUFFICIENT_RESOURCES && status != STATUS_OBJECT_NAME_NOT_FOUND) {
    broken("port", no_cpu, "connecting gave {:#x}", static_cast<uint32_t>(status));
  }
  last_time_ = 0;
  last_ring_ = 0;
  std::ranges::fill(next_position_, 0);
  return NT_SUCCESS(status);
}

void port_reader::run() {
  while (!stop_.load()) {
    if (!port_.is_open() && !connect()) {
      pause_for(1'000'000);
      continue;
    }
    if (plan_.switches_types && random_.one_in(8)) choose_types(random_.one_in(3) ? ~uint64_t{0} : random_.next());
    switch (random_.below(10)) {
      case 0: pause_for(random_.below(10'000'000)); break;
      case 1: check_account(); break;
      case 2:
        if (random_.one_in(4)) port_.close();
        break;
      default: (void)read(); break;
    }
  }
  if (port_.is_open()) check_account();
  port_.close();
}

bool port_reader::read() {
  uint64_t bytes = 0;
  const NTSTATUS status = port_.get_message(buffer_, bytes, std::chrono::milliseconds(random_.below(30)));
  if (status == STATUS_TIMEOUT) return false;
  if (status != STATUS_SUCCESS) broken("port", no_cpu, "a read gave {:#x}", static_cast<uint32_t>(status));
  check_batch(bytes - sizeof(sim::filter_message_header));
  return true;
}

void port_reader::check_batch(uint64_t bytes) {
  const uint8_t* const batch = buffer_.data() + sizeof(sim::filter_message_header);
  batch_header header;
  std::memcpy(&header, batch, sizeof header);
  if (header.magic != batch_magic || header.total_bytes != bytes) {
    broken("port", no_cpu, "a batch of {} bytes says it has {}", bytes, header.total_bytes);
  }
  uint32_t count = 0;
  for (uint64_t at = header.header_bytes; at < bytes; ++count) {
    batch_entry entry;
    record_header record;
    std::memcpy(&entry, batch + at, sizeof entry);
    std::memcpy(&record, batch + at + sizeof entry, sizeof record);
    const uint32_t length = length_of(record.state_and_length);
    const uint32_t ring = entry.cpu * lanes_per_cpu + entry.lane;
    if (entry.entry_bytes != batch_overhead(length) || entry.entry_bytes > bytes - at || ring >= next_position_.size()) {
      broken("port", entry.cpu, "entry {} of a batch: {} bytes, record of {}", count, entry.entry_bytes, length);
    }
    at += entry.entry_bytes;
    constexpr uint8_t not_of_rings = batch_flag_figures | batch_flag_stream | batch_flag_client_loss | batch_flag_overwritten;
    if ((entry.flags & not_of_rings) != 0) continue;
    ++records_;
    if ((entry.flags & batch_flag_late) != 0) continue;
    const uint64_t time = time_of(record);
    if (time < last_time_ || (time == last_time_ && ring < last_ring_)) {
      broken("M1", entry.cpu, "on the port, (time {}, ring {}) came after (time {}, ring {})", time, ring, last_time_, last_ring_);
    }
    last_time_ = time;
    last_ring_ = ring;
    if (entry.position < next_position_[ring]) broken("M2", entry.cpu, "on the port, position {:#x} came twice", entry.position);
    next_position_[ring] = entry.position + record_stride(length);
  }
  if (count != header.record_count) broken("port", no_cpu, "a batch of {} records holds {}", header.record_count, count);
}

void port_reader::choose_types(uint64_t types) {
  const struct {
    protocol::port_message question{protocol::version, protocol::code_client_types};
    protocol::set_types request;
  } message{.request = {protocol::version, 0, types}};
  uint64_t bytes = 0;
  const NTSTATUS status = port_.send(bytes_of(message), {}, bytes);
  if (status != STATUS_SUCCESS && status != STATUS_INSUFFICIENT_RESOURCES) {
    broken("port", no_cpu, "a choice of types gave {:#x}", static_cast<uint32_t>(status));
  }
}

// R3 of a client, whenever it is asked for.
void port_reader::check_account() {
  const protocol::port_message question{protocol::version, protocol::code_client_row};
  protocol::client_row row{};
  uint64_t bytes = 0;
  const NTSTATUS status = port_.send(bytes_of(question), {reinterpret_cast<uint8_t*>(&row), sizeof row}, bytes);
  if (status == STATUS_INSUFFICIENT_RESOURCES) return;  // the seed took its memory
  if (status != STATUS_SUCCESS || bytes != sizeof row) broken("port", no_cpu, "asking for the account gave {:#x}", static_cast<uint32_t>(status));
  if (row.offered != row.delivered + row.lost + row.waiting) {
    broken("R3", no_cpu, "a client was offered {}, but {} delivered, {} lost, {} waiting", row.offered, row.delivered, row.lost, row.waiting);
  }
}

}  // namespace sluice::stress
