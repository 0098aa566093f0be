// What the tests of filters share: a message put together from its parts, and a client that sends it.
#pragma once

#include "tests/kernel_port/driver_test_support.h"

namespace sluice::test {

struct filter_parts {
  struct path {
    std::u16string text;
    bool exclude = false;
  };

  uint64_t types = ~uint64_t{0};
  uint64_t process_types = ~uint64_t{0};
  uint64_t repeat_types = 0;
  uint32_t repeat_window_ms = 0;
  uint64_t process_rate_types = 0;
  filter_rate process_rate = {0, 0};
  std::vector<filter_process> processes = {};
  std::vector<path> images = {};
  std::vector<path> keys = {};
  std::vector<filter_type_rate> type_rates = {};

  std::vector<uint8_t> message() const {
    filter_header header{};
    header.magic = filter_magic;
    header.version = filter_version;
    header.header_bytes = sizeof header;
    header.types = types;
    header.process_types = process_types;
    header.repeat_types = repeat_types;
    header.repeat_window_ms = repeat_window_ms;
    header.process_rate_types = process_rate_types;
    header.process_rate = process_rate;
    std::vector<uint8_t> bytes(sizeof header);
    const auto place = [&](const void* entries, size_t count, size_t size) {
      if (count == 0) return filter_table{0, 0};
      bytes.resize((bytes.size() + 7) / 8 * 8);
      const auto offset = static_cast<uint32_t>(bytes.size());
      bytes.resize(bytes.size() + count * size);
      std::memcpy(&bytes[offset], entries, count * size);
      return filter_table{offset, static_cast<uint32_t>(count)};
    };
    header.processes = place(processes.data(), processes.size(), sizeof(filter_process));
    header.type_rates = place(type_rates.data(), type_rates.size(), sizeof(filter_type_rate));
    const auto place_paths = [&](const std::vector<path>& paths) {
      std::vector<filter_path> entries(paths.size());
      const filter_table table = place(entries.data(), entries.size(), sizeof(filter_path));
      for (size_t i = 0; i < paths.size(); ++i) {
        const size_t length = paths[i].text.size() * 2;
        entries[i] = {static_cast<uint32_t>(bytes.size()), static_cast<uint16_t>(length),
                      static_cast<uint16_t>(paths[i].exclude ? filter_rule_exclude : 0)};
        bytes.resize(bytes.size() + length);
        std::memcpy(&bytes[entries[i].offset], paths[i].text.data(), length);
      }
      if (!entries.empty()) std::memcpy(&bytes[table.offset], entries.data(), entries.size() * sizeof entries[0]);
      return table;
    };
    header.images = place_paths(images);
    header.keys = place_paths(keys);
    header.total_bytes = static_cast<uint32_t>(bytes.size());
    std::memcpy(bytes.data(), &header, sizeof header);
    return bytes;
  }
};

inline NTSTATUS send_filter(client& to, std::span<const uint8_t> message, filter_answer& answer) {
  uint8_t buffer[sizeof answer] = {};
  uint64_t bytes = 0;
  const NTSTATUS status = to.file.control(protocol::code_set_filter, message, buffer, bytes);
  std::memcpy(&answer, buffer, sizeof answer);
  return status;
}

// Sets it, which must succeed. Returns its generation.
inline uint64_t set_filter(client& to, const filter_parts& parts) {
  filter_answer answer{};
  EXPECT_EQ(send_filter(to, parts.message(), answer), STATUS_SUCCESS);
  EXPECT_EQ(answer.error, 0u) << name_of(static_cast<filter_error>(answer.error)) << " at " << answer.offset;
  return answer.generation;
}

inline uint64_t clear_filter(client& to) {
  filter_answer answer{};
  uint8_t buffer[sizeof answer] = {};
  uint64_t bytes = 0;
  EXPECT_EQ(to.file.control(protocol::code_clear_filter, {}, buffer, bytes), STATUS_SUCCESS);
  std::memcpy(&answer, buffer, sizeof answer);
  return answer.generation;
}

inline protocol::statistics_row filtered_of(client& from, uint16_t type) {
  protocol::statistics_row sum{};
  for (const protocol::statistics_row& row : from.statistics()) {
    EXPECT_TRUE(row.balances()) << "type " << row.type << " on cpu " << row.cpu;
    if (row.type != type) continue;
    sum.account.add(row.account);
    for (uint32_t i = 0; i < filter_reason_count; ++i) sum.filtered[i] += row.filtered[i];
  }
  return sum;
}

inline uint64_t filtered_because(client& from, uint16_t type, filter_reason reason) {
  return filtered_of(from, type).filtered[static_cast<uint32_t>(reason)];
}

constexpr uint64_t bit(uint16_t type) { return uint64_t{1} << type; }

// What happens on the machine, in a few words.
inline void load(uint32_t pid, std::u16string path) {
  sim::load_image({.pid = pid, .base = 1, .path = std::move(path)});
}
inline void start(uint32_t pid, uint32_t parent, std::u16string image = u"\\x.exe", std::u16string command = u"x") {
  EXPECT_EQ(sim::create_process({.pid = pid, .parent_pid = parent, .image_path = image, .command_line = command}),
            STATUS_SUCCESS);
}

// Which processes the events of a type are about, in the order in which they came.
using pids = std::vector<uint32_t>;
inline pids pids_of(const std::vector<received>& records, uint16_t type) {
  pids found;
  for (const received& record : of_type(records, type)) {
    uint32_t pid = 0;
    std::memcpy(&pid, record.payload.data() + sizeof(event_context), sizeof pid);
    found.push_back(pid);
  }
  return found;
}

}  // namespace sluice::test
