// An event_source that gives what a test has prepared, and counts what it is asked.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <thread>

#include "consumers/event_source.h"
#include "tests/consumers/batch_builder.h"

namespace sluice::test {

class scripted_source : public event_source {
 public:
  size_t least_buffer() const override { return protocol::min_read_bytes; }
  read_result read(std::span<uint8_t> buffer, std::chrono::nanoseconds timeout) override {
    if (batches.empty()) {
      if (on_idle) on_idle();
      if (flushed_) {
        flushed_ = false;
        const bytes empty = batch_builder().finish();
        std::copy(empty.begin(), empty.end(), buffer.begin());
        return {read_status::batch, empty.size()};
      }
      std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(timeout, std::chrono::milliseconds(1)));
      return {read_status::timeout, 0};
    }
    const bytes next = std::move(batches.front());
    batches.pop_front();
    std::copy(next.begin(), next.end(), buffer.begin());
    return {read_status::batch, next.size() + extra_bytes};
  }
  protocol::capabilities capabilities() override {
    protocol::capabilities c{};
    c.version = protocol::version;
    c.cpu_count = 2;
    c.clock_frequency = batch_builder::frequency;
    c.types = types_available;
    c.anchor_counter = 0;
    c.anchor_utc = anchor_utc;
    return c;
  }
  driver_statistics statistics() override { return figures; }
  std::vector<uint8_t> types() override { return declarations; }
  void set_types(uint64_t types) override { selected = types; }
  filter_answer set_filter(std::span<const uint8_t> message) override {
    filter_message.assign(message.begin(), message.end());
    return answer;
  }
  void flush() override { flushed_ = true; }
  void cancel() override {}
  uint64_t now() override { return clock; }

  // Adds to the driver's figures: what the driver says it did.
  account_row& row(uint16_t cpu, uint16_t type) {
    for (protocol::statistics_row& r : figures.rows) {
      if (r.cpu == cpu && r.type == type) return r.account;
    }
    figures.rows.push_back({cpu, type, 0, {}});
    return figures.rows.back().account;
  }
  void committed(uint16_t cpu, uint16_t type, uint64_t count) {
    row(cpu, type).attempted += count;
    row(cpu, type).committed += count;
  }

  std::deque<bytes> batches;
  driver_statistics figures;
  bytes declarations;
  std::function<void()> on_idle;
  uint64_t types_available = ~uint64_t{0};
  uint64_t selected = 0;
  bytes filter_message;  // the last that came
  filter_answer answer{0, 0, 1};
  uint64_t clock = 2000;
  uint64_t anchor_utc = 0;
  size_t extra_bytes = 0;

 private:
  bool flushed_ = false;
};

}  // namespace sluice::test
