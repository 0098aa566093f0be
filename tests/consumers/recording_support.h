// Recordings made by tests: a file that can be full, events to write, and what a reader gets back.
#pragma once

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>

#include "consumers/recording/file_source.h"
#include "consumers/recording/recording_writer.h"
#include "tests/consumers/batch_builder.h"
#include "tests/consumers/file_on_disk.h"

namespace sluice::test {

// Keeps what is written in memory. `capacity` is the disk; `promises` whether it can reserve room.
class memory_file : public recording::output_file {
 public:
  bytes content;
  uint64_t capacity = ~uint64_t{0};
  bool promises = true;
  int full = ENOSPC;

  int reserve(uint64_t size) override { return promises && size > capacity ? full : 0; }
  int write(uint64_t offset, std::span<const uint8_t> data) override {
    const uint64_t fits = std::min<uint64_t>(data.size(), capacity > offset ? capacity - offset : 0);
    if (offset + fits > content.size()) content.resize(offset + fits);
    std::copy_n(data.begin(), fits, content.begin() + static_cast<ptrdiff_t>(offset));
    return fits == data.size() ? 0 : full;
  }
  int truncate(uint64_t size) override {
    content.resize(size);
    return 0;
  }
  int sync() override { return 0; }
};

inline recording::about_recording about() {
  recording::about_recording a;
  a.capabilities.version = protocol::version;
  a.capabilities.cpu_count = 2;
  a.capabilities.boot = batch_builder::boot;
  a.capabilities.clock_frequency = batch_builder::frequency;
  a.capabilities.types = ~uint64_t{0};
  a.capabilities.anchor_counter = 1000;
  a.capabilities.anchor_utc = 134'000'000'000'000'000;
  a.title = "a test";
  a.file_id = 0x1122334455667788;
  a.created_utc = 134'000'000'000'000'000;
  return a;
}

// UTC of a record's time, with the clock of about(): one tick is 100 ns.
inline uint64_t utc_of(uint64_t time) {
  return 134'000'000'000'000'000 + time - 1000;
}

// Threads 100, 101, ... in batches of `per_batch`, one tick apart from time 1000 on, on CPUs 0 and 1 in turn.
class thread_batches {
 public:
  bytes next(uint32_t per_batch) {
    for (uint32_t i = 0; i < per_batch; ++i, ++count_) {
      record r{event_type_thread_create, thread_create(7, 100 + count_), 1000 + count_};
      r.cpu = static_cast<uint16_t>(count_ % 2);
      builder_.add(r);
    }
    return builder_.finish();
  }
  uint32_t count() const { return count_; }

 private:
  batch_builder builder_;
  uint32_t count_ = 0;
};

// What a recording gives: its records' times, in order, and what was said about damage.
struct read_back {
  std::vector<uint64_t> times;
  std::vector<bytes> batches;
  std::vector<std::string> faults;
  uint64_t missing = 0;
  bool torn = false;
  bool has_end = false;
};

inline read_back read_all(recording::file_source& source) {
  read_back result;
  std::vector<uint8_t> buffer(source.least_buffer());
  for (;;) {
    const read_result got = source.read(buffer, std::chrono::seconds(1));
    for (std::string& fault : source.take_faults()) result.faults.push_back(std::move(fault));
    if (got.status != read_status::batch) break;
    batch_reader batch({buffer.data(), got.bytes});
    delivered_record record;
    while (batch.next(record) == batch_status::ok) result.times.push_back(record.time);
    result.batches.emplace_back(buffer.begin(), buffer.begin() + static_cast<ptrdiff_t>(got.bytes));
  }
  result.missing = source.reader().missing_records();
  result.torn = source.reader().torn();
  result.has_end = source.reader().end().has_value();
  return result;
}

inline read_back read_all(std::span<const uint8_t> file) {
  const file_on_disk on_disk(file);
  recording::file_source source(on_disk.path());
  return read_all(source);
}

}  // namespace sluice::test
