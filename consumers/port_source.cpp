#include "consumers/port_source.h"

#include <fltkernel.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace sluice {

port_source::port_source(sim::machine& machine, uint32_t pid, const wishes& what) {
  protocol::port_context context{protocol::port_context_magic,
                                 protocol::version,
                                 what.types,
                                 protocol::port_order_merged,
                                 what.without_own_process ? protocol::port_flag_without_own_process : 0,
                                 {}};
  if (what.name.size() > sizeof context.name) {
    throw source_error(fmt::format("the name \"{}\" is longer than {} characters", what.name, sizeof context.name));
  }
  std::copy(what.name.begin(), what.name.end(), context.name);
  uint8_t bytes[sizeof context];
  std::memcpy(bytes, &context, sizeof context);
  const NTSTATUS status = port_.connect(machine, protocol::port_name, bytes, pid);
  if (status == STATUS_REVISION_MISMATCH) {
    throw source_error(fmt::format("the driver does not speak version {} of the protocol", protocol::version));
  }
  if (status == STATUS_CONNECTION_COUNT_LIMIT) throw source_error("the driver has as many clients as it serves");
  if (!NT_SUCCESS(status)) fail("cannot connect to the driver's port", status);
}

read_result port_source::read(std::span<uint8_t> buffer, std::chrono::nanoseconds timeout) {
  NTSTATUS status;
  {
    const std::lock_guard lock(mutex_);
    status = port_.begin_get(sizeof(sim::filter_message_header) + buffer.size(), pending_);
    reading_ = true;
  }
  bool timed_out = false;
  if (status == STATUS_PENDING) {
    status = pending_.wait(timeout);
    if (status == STATUS_TIMEOUT) {
      timed_out = true;
      port_.cancel(pending_);
      status = pending_.wait();  // a batch that came meanwhile is not lost
    }
  }
  {
    const std::lock_guard lock(mutex_);
    reading_ = false;
  }
  if (status == STATUS_CANCELLED) return {timed_out ? read_status::timeout : read_status::cancelled, 0};
  if (status != STATUS_SUCCESS) fail("reading from the driver's port", status);
  const std::span<const uint8_t> batch = pending_.message().subspan(sizeof(sim::filter_message_header));
  std::copy(batch.begin(), batch.end(), buffer.begin());
  return {read_status::batch, batch.size()};
}

void port_source::cancel() {
  const std::lock_guard lock(mutex_);
  if (reading_) port_.cancel(pending_);
}

NTSTATUS port_source::request(uint32_t code, std::span<const uint8_t> in, std::span<uint8_t> out, uint64_t& bytes) {
  const protocol::port_message header{protocol::version, code};
  std::vector<uint8_t> message(sizeof header + in.size());
  std::memcpy(message.data(), &header, sizeof header);
  std::copy(in.begin(), in.end(), message.begin() + sizeof header);
  return port_.send(message, out, bytes);
}

std::vector<protocol::client_row> port_source::clients() {
  constexpr size_t most = protocol::max_port_clients + 1;  // and who reads the device
  std::vector<uint8_t> answer(sizeof(protocol::clients_header) + most * sizeof(protocol::client_row));
  uint64_t bytes = 0;
  const NTSTATUS status = request(protocol::code_clients, {}, answer, bytes);
  if (!NT_SUCCESS(status)) fail("asking the driver for its clients", status);
  protocol::clients_header header{};
  if (bytes < sizeof header) throw source_error(fmt::format("clients in {} bytes", bytes));
  std::memcpy(&header, answer.data(), sizeof header);
  if (header.version != protocol::version || header.row_count > most ||
      bytes != sizeof header + header.row_count * sizeof(protocol::client_row)) {
    throw source_error(fmt::format("clients of version {}: {} rows in {} bytes", header.version, header.row_count, bytes));
  }
  std::vector<protocol::client_row> rows(header.row_count);
  if (!rows.empty()) std::memcpy(rows.data(), answer.data() + sizeof header, rows.size() * sizeof rows[0]);
  return rows;
}

}  // namespace sluice
