#include "consumers/driver_source.h"

#include <fmt/format.h>

#include <cstring>

namespace sluice {

void driver_source::fail(const char* what, nt_status status) {
  throw nt_error(fmt::format("{}: NT status 0x{:08x}", what, static_cast<uint32_t>(status)), status);
}

uint64_t driver_source::control(const char* what, uint32_t code, std::span<const uint8_t> in, std::span<uint8_t> out) {
  uint64_t bytes = 0;
  const nt_status status = request(code, in, out, bytes);
  if (!succeeded(status)) fail(what, status);
  if (bytes > out.size()) throw source_error(fmt::format("{}: {} bytes into a buffer of {}", what, bytes, out.size()));
  return bytes;
}

protocol::capabilities driver_source::capabilities() {
  protocol::capabilities answer{};
  uint8_t buffer[sizeof answer] = {};
  const uint64_t bytes = control("asking the driver for its capabilities", protocol::code_capabilities, {}, buffer);
  std::memcpy(&answer, buffer, sizeof answer);
  if (bytes < sizeof answer || answer.version != protocol::version) {
    throw source_error(fmt::format("the driver speaks version {} of the protocol ({} bytes), this client version {}",
                                   answer.version, bytes, protocol::version));
  }
  return answer;
}

driver_statistics driver_source::statistics() {
  driver_statistics answer;
  // More CPUs and types can appear between two calls; each answer says how many rows there are.
  for (size_t rows = 256;; rows = answer.header.row_count + 64) {
    if (rows > (size_t{1} << 22)) throw source_error(fmt::format("the driver claims {} rows of statistics", rows));
    std::vector<uint8_t> buffer(sizeof(protocol::statistics_header) + rows * sizeof(protocol::statistics_row));
    uint64_t bytes = 0;
    const nt_status status = request(protocol::code_statistics, {}, buffer, bytes);
    if (!succeeded(status) && status != nt::buffer_overflow) fail("asking the driver for its statistics", status);
    if (bytes < sizeof answer.header || bytes > buffer.size()) {
      throw source_error(fmt::format("statistics of {} bytes", bytes));
    }
    std::memcpy(&answer.header, buffer.data(), sizeof answer.header);
    if (answer.header.version != protocol::version) {
      throw source_error(fmt::format("statistics of version {}, this client reads {}", answer.header.version, protocol::version));
    }
    if (status == nt::buffer_overflow && answer.header.row_count > rows) continue;
    if (bytes != sizeof answer.header + uint64_t{answer.header.row_count} * sizeof(protocol::statistics_row)) {
      throw source_error(fmt::format("statistics: {} rows in {} bytes", answer.header.row_count, bytes));
    }
    answer.rows.resize(answer.header.row_count);
    if (!answer.rows.empty()) {
      std::memcpy(answer.rows.data(), buffer.data() + sizeof answer.header,
                  answer.rows.size() * sizeof(protocol::statistics_row));
    }
    return answer;
  }
}

std::vector<uint8_t> driver_source::types() {
  constexpr size_t most = (max_record_types - first_own_type) *
                          (sizeof(type_declaration_payload) + max_fields * sizeof(field_declaration));
  std::vector<uint8_t> answer(most);
  answer.resize(control("asking the driver for its own types", protocol::code_types, {}, answer));
  return answer;
}

void driver_source::set_types(uint64_t types) {
  const protocol::set_types request{protocol::version, 0, types};
  uint8_t buffer[sizeof request];
  std::memcpy(buffer, &request, sizeof request);
  (void)control("switching event types", protocol::code_set_types, buffer, {});
}

filter_answer driver_source::set_filter(std::span<const uint8_t> message) {
  return send_filter("setting a filter", protocol::code_set_filter, message);
}

filter_answer driver_source::clear_filter() { return send_filter("clearing the filter", protocol::code_clear_filter, {}); }

filter_answer driver_source::send_filter(const char* what, uint32_t code, std::span<const uint8_t> message) {
  filter_answer answer{};
  uint8_t buffer[sizeof answer] = {};
  const uint64_t bytes = control(what, code, message, buffer);
  if (bytes != sizeof answer) throw source_error(fmt::format("{}: an answer of {} bytes", what, bytes));
  std::memcpy(&answer, buffer, sizeof answer);
  return answer;
}

std::vector<uint8_t> driver_source::filter(filter_state& state) {
  std::vector<uint8_t> buffer;
  for (size_t room = 4096;; room = sizeof state + state.message_bytes) {
    buffer.resize(room);
    uint64_t bytes = 0;
    const nt_status status = request(protocol::code_filter, {}, buffer, bytes);
    if (!succeeded(status) && status != nt::buffer_overflow) fail("asking the driver for its filter", status);
    if (bytes < sizeof state || bytes > buffer.size()) throw source_error(fmt::format("a filter of {} bytes", bytes));
    std::memcpy(&state, buffer.data(), sizeof state);
    if (state.message_bytes > max_filter_bytes) {
      throw source_error(fmt::format("the driver claims a filter of {} bytes", state.message_bytes));
    }
    if (status == nt::buffer_overflow && sizeof state + state.message_bytes > room) continue;  // it may have changed since
    if (bytes != sizeof state + state.message_bytes) throw source_error(fmt::format("a filter of {} bytes", bytes));
    buffer.resize(bytes);
    buffer.erase(buffer.begin(), buffer.begin() + sizeof state);
    return buffer;
  }
}

size_t driver_source::copy_ring(const protocol::ring_copy_request& what, std::span<uint8_t> answer) {
  uint8_t in[sizeof what];
  std::memcpy(in, &what, sizeof what);
  uint64_t bytes = 0;
  const nt_status status = request(protocol::code_copy_ring, in, answer, bytes);
  if (status == nt::not_found) return 0;
  if (!succeeded(status)) fail("copying a ring", status);
  if (bytes == 0 || bytes > answer.size()) throw source_error(fmt::format("copying a ring: {} bytes into a buffer of {}", bytes, answer.size()));
  return static_cast<size_t>(bytes);
}

void driver_source::flush() { (void)control("flushing", protocol::code_flush, {}, {}); }

}  // namespace sluice
