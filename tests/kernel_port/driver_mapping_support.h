// What the tests of the mapping share: a machine whose memory can be mapped, a client on it, and what came by identity.
#pragma once

#include <map>
#include <memory>

#include "consumers/batch_reader.h"
#include "consumers/mapping_source.h"
#include "consumers/nt/simulated_system.h"
#include "tests/kernel_port/driver_test_support.h"

namespace sluice::test {

using namespace std::chrono_literals;

inline sim::machine_options can_map(sim::machine_options options = {}) {
  options.shared_memory = true;
  return options;
}

struct place_of_record {
  uint16_t cpu;
  uint8_t lane;
  uint64_t position;
  auto operator<=>(const place_of_record&) const = default;
};

// Samples by identity. A second arrival has to be the same record.
struct collected {
  std::map<place_of_record, uint64_t> samples;
  uint64_t duplicates = 0;
  uint64_t lost = 0;  // announced by LOSS records, each counted once
  std::map<place_of_record, uint64_t> losses;

  void add(const received& record) {
    const place_of_record place{record.cpu, record.lane, record.position};
    if (record.type == record_type_loss && (record.flags & batch_flag_figures) == 0) {
      losses[place] = record.as<loss_payload>().events;
    }
    if (record.type != first_own_type) return;
    const uint64_t value = record.as<sample_event>().value;
    const auto [at, fresh] = samples.emplace(place, value);
    duplicates += !fresh;
    EXPECT_EQ(at->second, value) << "another record under the same identity";
  }
  uint64_t lost_events() const {
    uint64_t events = 0;
    for (const auto& [place, count] : losses) events += count;
    return events;
  }
};

class mapped_client {
 public:
  static constexpr uint32_t pid = 4100;

  explicit mapped_client(sim::machine& machine, uint32_t process = pid)
      : source(std::make_unique<mapping_source>(simulated_system(machine, process))) {}

  read_status read(collected& to, std::chrono::nanoseconds timeout = 60s) {
    const read_result result = source->read(buffer, timeout);
    if (result.status == read_status::batch) {
      for (const received& record : parse(buffer, result.bytes)) to.add(record);
    }
    return result.status;
  }
  // Until everything that is final was read.
  void drain(collected& to) {
    for (;;) {
      source->flush();
      const read_result result = source->read(buffer, 60s);
      ASSERT_EQ(result.status, read_status::batch);
      bool news = false;
      for (const received& record : parse(buffer, result.bytes)) {
        to.add(record);
        news |= (record.flags & batch_flag_figures) == 0;
      }
      if (!news) return;
    }
  }

  std::unique_ptr<mapping_source> source;
  std::vector<uint8_t> buffer = std::vector<uint8_t>(protocol::min_read_bytes);
};

// A driver that can be mapped, with an own type.
struct mapping_machine : loaded_machine {
  explicit mapping_machine(const sim::machine_options& options = {}) : loaded_machine(can_map(options)) {
    EXPECT_EQ(status, STATUS_SUCCESS);
    uint16_t type = 0;
    EXPECT_EQ(sensor_under_test->types().register_type(sample_type, type), STATUS_SUCCESS);
    EXPECT_EQ(type, first_own_type);
  }
  reserve_status write(uint64_t value) {
    const sample_event event{value};
    return sensor_under_test->events().write(first_own_type, 1, &event, sizeof event);
  }
};

// Writes samples from a thread of its own, on one CPU, until told to stop.
class sample_writer {
 public:
  sample_writer(mapping_machine& on, uint32_t cpu) : thread_([this, &on, cpu] {
    const sim::activity activity(on.machine, cpu, 500 + cpu, 600 + cpu);
    for (uint64_t value = 0; !stop_.load(std::memory_order_relaxed); ++value) {
      if (on.write(value << 8 | cpu) == reserve_status::ok) written_.fetch_add(1, std::memory_order_relaxed);
      if (value % 64 == 0) std::this_thread::yield();
    }
  }) {}
  ~sample_writer() { stop(); }
  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  uint64_t written() const { return written_.load(); }

 private:
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> written_{0};
  std::thread thread_;
};

}  // namespace sluice::test
