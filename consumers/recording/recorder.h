// A source that keeps everything that is read through it in a recording, before its reader sees it.
#pragma once

#include "consumers/event_source.h"
#include "consumers/recording/recording_writer.h"

namespace sluice::recording {

class recorder : public event_source {
 public:
  // Both outlive the recorder.
  recorder(event_source& from, recording_writer& to) : from_(from), to_(to) {}

  size_t least_buffer() const override { return from_.least_buffer(); }
  read_result read(std::span<uint8_t> buffer, std::chrono::nanoseconds timeout) override {
    const read_result result = from_.read(buffer, timeout);
    if (result.status == read_status::batch && result.bytes <= buffer.size()) {
      (void)to_.add(buffer.first(
          result.bytes));  // the writer counts what it cannot keep; the reader says what is wrong
    } else {
      to_.look_at_clock();
    }
    return result;
  }
  protocol::capabilities capabilities() override { return from_.capabilities(); }
  driver_statistics statistics() override { return from_.statistics(); }
  std::vector<uint8_t> types() override { return from_.types(); }
  void set_types(uint64_t types) override { from_.set_types(types); }
  filter_answer set_filter(std::span<const uint8_t> message) override { return from_.set_filter(message); }
  void flush() override { from_.flush(); }
  void cancel() override { from_.cancel(); }
  uint64_t now() override { return from_.now(); }

 private:
  event_source& from_;
  recording_writer& to_;
};

}  // namespace sluice::recording
