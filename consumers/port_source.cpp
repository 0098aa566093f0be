#include "consumers/port_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace sluice {

port_source::port_source(std::shared_ptr<nt_system> system, const wishes& what) : driver_source(std::move(system)) {
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
  const nt_status status = system_->connect_port(protocol::port_name, bytes, port_);
  if (status == nt::revision_mismatch) {
    throw nt_error(fmt::format("the driver does not speak version {} of the protocol", protocol::version), status);
  }
  if (status == nt::connection_count_limit) throw nt_error("the driver has as many clients as it serves", status);
  if (!succeeded(status)) fail("cannot connect to the driver's port", status);
}

read_result port_source::read(std::span<uint8_t> buffer, std::chrono::nanoseconds timeout) {
  message_.resize(protocol::message_header_bytes + buffer.size());
  uint64_t bytes = 0;
  const nt_status status = port_->get_message(message_, bytes, timeout);
  if (status == nt::timeout) return {read_status::timeout, 0};
  if (status == nt::cancelled) return {read_status::cancelled, 0};
  if (!succeeded(status)) fail("reading from the driver's port", status);
  if (bytes < protocol::message_header_bytes || bytes > message_.size()) {
    throw source_error(fmt::format("a message of {} bytes from the driver's port", bytes));
  }
  std::memcpy(buffer.data(), message_.data() + protocol::message_header_bytes, bytes - protocol::message_header_bytes);
  return {read_status::batch, static_cast<size_t>(bytes - protocol::message_header_bytes)};
}

void port_source::cancel() { port_->cancel(); }

nt_status port_source::request(uint32_t code, std::span<const uint8_t> in, std::span<uint8_t> out, uint64_t& bytes) {
  const protocol::port_message header{protocol::version, code};
  std::vector<uint8_t> message(sizeof header + in.size());
  std::memcpy(message.data(), &header, sizeof header);
  std::copy(in.begin(), in.end(), message.begin() + sizeof header);
  return port_->send(message, out, bytes);
}

filter_answer port_source::set_own_filter(std::span<const uint8_t> message) {
  return send_filter("setting a filter of this client's own", protocol::code_set_client_filter, message);
}

void port_source::clear_own_filter() {
  (void)send_filter("ending this client's own filter", protocol::code_clear_client_filter, {});
}

void port_source::set_own_types(uint64_t types) {
  const protocol::set_types request{protocol::version, 0, types};
  uint8_t buffer[sizeof request];
  std::memcpy(buffer, &request, sizeof request);
  (void)control("choosing event types", protocol::code_client_types, buffer, {});
}

protocol::client_row port_source::own_row() {
  protocol::client_row row{};
  uint8_t buffer[sizeof row] = {};
  const uint64_t bytes = control("asking the driver for this client's account", protocol::code_client_row, {}, buffer);
  if (bytes != sizeof row) throw source_error(fmt::format("this client's account in {} bytes", bytes));
  std::memcpy(&row, buffer, sizeof row);
  return row;
}

std::vector<protocol::client_row> port_source::clients() {
  constexpr size_t most = protocol::max_port_clients + 1;  // and who reads the device
  std::vector<uint8_t> answer(sizeof(protocol::clients_header) + most * sizeof(protocol::client_row));
  uint64_t bytes = 0;
  const nt_status status = request(protocol::code_clients, {}, answer, bytes);
  if (!succeeded(status)) fail("asking the driver for its clients", status);
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
