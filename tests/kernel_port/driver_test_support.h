// What the driver's tests share: a driver of their own around a sensor, so that tests reach its channel; a client that
// reads batches; and a plain view of what came.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "kernel_port/driver/protocol.h"
#include "kernel_port/driver/sensor.h"
#include "kernel_port/sim/machine.h"
#include "pipeline/batch.h"
#include "tests/eventually.h"

namespace sluice::test {

inline sensor* sensor_under_test = nullptr;

inline VOID unload_test_driver(PDRIVER_OBJECT) {
  sensor::destroy(sensor_under_test);
  sensor_under_test = nullptr;
}

inline NTSTATUS test_driver_entry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path) {
  driver->DriverUnload = &unload_test_driver;
  return sensor::create(driver, registry_path, sensor_under_test);
}

// An own type of one field.
struct sample_event {
  uint64_t value;
};
inline constexpr field_declaration sample_fields[] = {SLUICE_FIELD(sample_event, value, field_kind::unsigned_integer)};
inline constexpr own_type_definition sample_type = {"sample", 1, sample_fields, 1};

struct received {
  uint16_t type;
  uint16_t cpu;
  uint8_t lane;
  uint8_t flags;  // batch_flag_*
  uint64_t position;
  uint64_t time;
  std::vector<uint8_t> payload;

  template <class layout>
  layout as() const {
    layout value{};
    std::memcpy(&value, payload.data(), std::min(sizeof value, payload.size()));
    return value;
  }
  std::u16string text(const string_field& field) const {
    std::u16string result(field.length / 2, u'\0');
    std::memcpy(result.data(), payload.data() + field.offset, field.length);
    return result;
  }
};

// Trusts the batch: tests/consumers has the reader that does not.
inline std::vector<received> parse(const std::vector<uint8_t>& batch, uint64_t bytes) {
  std::vector<received> records;
  batch_header header;
  std::memcpy(&header, batch.data(), sizeof header);
  EXPECT_EQ(header.magic, batch_magic);
  EXPECT_EQ(header.total_bytes, bytes);
  for (uint64_t at = header.header_bytes; at < bytes;) {
    batch_entry entry;
    record_header record;
    std::memcpy(&entry, &batch[at], sizeof entry);
    std::memcpy(&record, &batch[at + sizeof entry], sizeof record);
    const uint32_t length = length_of(record.state_and_length);
    const uint8_t* const payload = &batch[at + sizeof entry + sizeof record];
    records.push_back({record.type, entry.cpu, entry.lane, entry.flags, entry.position, time_of(record),
                       std::vector<uint8_t>(payload, payload + length - sizeof record)});
    at += entry.entry_bytes;
  }
  EXPECT_EQ(records.size(), header.record_count);
  return records;
}

class client {
 public:
  static constexpr uint32_t pid = 4000;

  explicit client(sim::machine& machine) { EXPECT_EQ(file.open(machine, u"Sluice", pid), STATUS_SUCCESS); }

  NTSTATUS read(std::vector<received>& records, std::chrono::nanoseconds timeout = std::chrono::seconds(60)) {
    std::vector<uint8_t> buffer(protocol::min_read_bytes);
    uint64_t bytes = 0;
    const NTSTATUS status = file.read(buffer, bytes, timeout);
    if (status == STATUS_SUCCESS) {
      for (received& record : parse(buffer, bytes)) records.push_back(std::move(record));
    }
    return status;
  }

  // Everything that is final now: flushes until a batch comes back empty (figures of losses aside).
  std::vector<received> drain() {
    std::vector<received> records;
    for (;;) {
      uint64_t bytes = 0;
      EXPECT_EQ(file.control(protocol::code_flush, {}, {}, bytes), STATUS_SUCCESS);
      const size_t before = records.size();
      EXPECT_EQ(read(records), STATUS_SUCCESS);
      bool news = false;
      for (size_t i = before; i < records.size(); ++i) news |= (records[i].flags & batch_flag_figures) == 0;
      if (!news) return records;
    }
  }

  protocol::capabilities capabilities() {
    protocol::capabilities answer{};
    uint64_t bytes = 0;
    EXPECT_EQ(file.control(protocol::code_capabilities, {},
                           {reinterpret_cast<uint8_t*>(&answer), sizeof answer}, bytes),
              STATUS_SUCCESS);
    EXPECT_EQ(bytes, sizeof answer);
    return answer;
  }

  std::vector<protocol::statistics_row> statistics(protocol::statistics_header* header = nullptr) {
    std::vector<uint8_t> buffer(1 << 20);
    uint64_t bytes = 0;
    EXPECT_EQ(file.control(protocol::code_statistics, {}, buffer, bytes), STATUS_SUCCESS);
    protocol::statistics_header head;
    std::memcpy(&head, buffer.data(), sizeof head);
    std::vector<protocol::statistics_row> rows(head.row_count);
    EXPECT_EQ(bytes, sizeof head + rows.size() * sizeof(protocol::statistics_row));
    if (!rows.empty()) std::memcpy(rows.data(), buffer.data() + sizeof head, rows.size() * sizeof rows[0]);
    if (header != nullptr) *header = head;
    return rows;
  }

  NTSTATUS set_types(uint64_t types, uint32_t version = protocol::version) {
    const protocol::set_types request{version, 0, types};
    uint64_t bytes = 0;
    return file.control(protocol::code_set_types, {reinterpret_cast<const uint8_t*>(&request), sizeof request}, {}, bytes);
  }

  sim::file file;
};

inline account_row sum_of(const std::vector<protocol::statistics_row>& rows, uint16_t type) {
  account_row sum{};
  for (const protocol::statistics_row& row : rows) {
    if (row.type == type) sum.add(row.account);
  }
  return sum;
}

inline std::vector<received> of_type(const std::vector<received>& records, uint16_t type) {
  std::vector<received> result;
  for (const received& record : records) {
    if (record.type == type) result.push_back(record);
  }
  return result;
}

// A machine with the test driver on it, for as long as the object lives.
class loaded_machine {
 public:
  explicit loaded_machine(const sim::machine_options& options = {}) : machine(options), starter(machine, 0, 4, 8) {
    status = machine.load_driver("Sluice", &test_driver_entry);
  }
  ~loaded_machine() {
    if (NT_SUCCESS(status)) {
      EXPECT_EQ(machine.unload_driver("Sluice"), STATUS_SUCCESS);
    }
    const sim::machine::usage left = machine.in_use();
    EXPECT_EQ(left.pool_blocks, 0u);
    EXPECT_EQ(left.system_threads, 0u);
    EXPECT_EQ(left.notify_routines, 0u);
    EXPECT_EQ(left.callbacks, 0u);
    EXPECT_EQ(left.devices, 0u);
    EXPECT_EQ(left.symbolic_links, 0u);
  }

  sim::machine machine;
  sim::activity starter;  // the test's own thread, in the system process
  NTSTATUS status;
};

}  // namespace sluice::test
