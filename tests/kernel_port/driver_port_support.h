// A client of the driver's port, as the tests need one.
#pragma once

#include <algorithm>

#include "kernel_port/sim/filter_port_client.h"
#include "tests/kernel_port/driver_test_support.h"

namespace sluice::test {

inline constexpr std::chrono::seconds long_enough{60};

// False: not within long_enough.
template <class condition>
[[nodiscard]] bool wait_until(condition&& holds) {
  const auto end = std::chrono::steady_clock::now() + long_enough;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return true;
}

inline protocol::port_context wants(uint64_t types = ~uint64_t{0}, uint32_t flags = 0, const char* name = "test") {
  protocol::port_context context{protocol::port_context_magic, protocol::version, types, protocol::port_order_merged, flags, {}};
  std::memcpy(context.name, name, std::strlen(name));
  return context;
}

template <class structure>
std::span<const uint8_t> bytes_of(const structure& what) {
  return {reinterpret_cast<const uint8_t*>(&what), sizeof what};
}

class port_client {
 public:
  static constexpr uint32_t pid = 4100;

  port_client() = default;
  explicit port_client(sim::machine& machine, const protocol::port_context& context = wants(), uint32_t process = pid) {
    EXPECT_EQ(connect(machine, context, process), STATUS_SUCCESS);
  }
  NTSTATUS connect(sim::machine& machine, const protocol::port_context& context = wants(), uint32_t process = pid) {
    return port.connect(machine, protocol::port_name, bytes_of(context), process);
  }

  // One batch. `answer`: it has no record of the stream, as the answer of a flush.
  NTSTATUS read(std::vector<received>& records, std::chrono::nanoseconds timeout = long_enough, bool* answer = nullptr) {
    std::vector<uint8_t> buffer(sizeof(sim::filter_message_header) + protocol::min_read_bytes);
    uint64_t bytes = 0;
    const NTSTATUS status = port.get_message(buffer, bytes, timeout);
    if (status != STATUS_SUCCESS) return status;
    buffer.erase(buffer.begin(), buffer.begin() + sizeof(sim::filter_message_header));
    bool news = false;
    for (received& record : parse(buffer, bytes - sizeof(sim::filter_message_header))) {
      news |= (record.flags & (batch_flag_figures | batch_flag_stream)) != batch_flag_figures;
      records.push_back(std::move(record));
    }
    if (answer != nullptr) *answer = !news;
    return status;
  }

  NTSTATUS send(uint32_t code, std::span<const uint8_t> in, std::span<uint8_t> out, uint64_t& bytes,
                uint32_t version = protocol::version) {
    const protocol::port_message header{version, code};
    std::vector<uint8_t> message(sizeof header + in.size());
    std::memcpy(message.data(), &header, sizeof header);
    std::copy(in.begin(), in.end(), message.begin() + sizeof header);
    return port.send(message, out, bytes);
  }
  NTSTATUS flush() {
    uint64_t bytes = 0;
    return send(protocol::code_flush, {}, {}, bytes);
  }

  // Everything that is final now.
  std::vector<received> drain() {
    std::vector<received> records;
    EXPECT_EQ(flush(), STATUS_SUCCESS);
    for (bool answer = false; !answer;) {
      const NTSTATUS status = read(records, long_enough, &answer);
      EXPECT_EQ(status, STATUS_SUCCESS);
      if (status != STATUS_SUCCESS) break;
    }
    return records;
  }

  // This client, and all others, as the driver sees them.
  std::vector<protocol::client_row> clients(protocol::clients_header* about = nullptr) {
    std::vector<uint8_t> out(sizeof(protocol::clients_header) + 64 * sizeof(protocol::client_row));
    uint64_t bytes = 0;
    EXPECT_EQ(send(protocol::code_clients, {}, out, bytes), STATUS_SUCCESS);
    protocol::clients_header header;
    std::memcpy(&header, out.data(), sizeof header);
    std::vector<protocol::client_row> rows(header.row_count);
    EXPECT_EQ(bytes, sizeof header + rows.size() * sizeof(protocol::client_row));
    if (!rows.empty()) std::memcpy(rows.data(), out.data() + sizeof header, rows.size() * sizeof rows[0]);
    if (about != nullptr) *about = header;
    return rows;
  }
  protocol::client_row row(std::string_view name = "test") {
    for (const protocol::client_row& row : clients()) {
      if (row.name == name) return row;
    }
    ADD_FAILURE() << "no client " << name;
    return {};
  }

  sim::filter_port port;
};

// R3 of a client, whenever it is asked for.
inline void expect_balance(const protocol::client_row& row) {
  EXPECT_EQ(row.offered, row.delivered + row.lost + row.waiting) << row.name;
}

// What came of the rings: no figures, no gaps of the client's own, nothing about the stream.
inline std::vector<received> of_rings(const std::vector<received>& records) {
  std::vector<received> result;
  for (const received& record : records) {
    if ((record.flags & (batch_flag_figures | batch_flag_client_loss | batch_flag_stream)) == 0) result.push_back(record);
  }
  return result;
}

inline uint64_t client_losses(const std::vector<received>& records, uint16_t type) {
  uint64_t sum = 0;
  for (const received& record : records) {
    if ((record.flags & batch_flag_client_loss) == 0) continue;
    const auto loss = record.as<loss_payload>();
    for (uint32_t i = 0; i < loss.entry_count; ++i) {
      loss_entry entry;
      std::memcpy(&entry, record.payload.data() + sizeof loss + i * sizeof entry, sizeof entry);
      if (entry.type == type) sum += entry.events;
    }
  }
  return sum;
}

}  // namespace sluice::test
