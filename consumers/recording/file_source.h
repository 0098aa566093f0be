// The source that reads a recording: gives the batches that were recorded, or those of their records that
// were asked for.
//
// It ends (read_status::end) with the recording. What was damaged or cut is told by take_faults(), and its
// records are missing; everything else comes as it came when it was recorded. One thread at a time.
#pragma once

#include <optional>

#include "consumers/batch_reader.h"
#include "consumers/event_source.h"
#include "consumers/recording/recording_reader.h"
#include "consumers/stream_clock.h"

namespace sluice::recording {

// Moments of a recording: UTC in 100 ns units since 1601-01-01, from inclusive, to exclusive.
struct time_window {
  std::optional<uint64_t> from, to;
  bool whole() const { return !from && !to; }
};

class file_source : public event_source {
 public:
  // Throws recording_error.
  explicit file_source(const std::string& path);

  // What read() gives from now on; starts again. A window is looked up in the index if there is one.
  void select(const time_window& window);
  // UTC of the first record; none: there is no record, or no clock.
  std::optional<uint64_t> first_utc();

  size_t least_buffer() const override { return max_batch_bytes; }
  read_result read(std::span<uint8_t> buffer, std::chrono::nanoseconds timeout) override;
  // As recorded, with the clock's relation to UTC at the place where reading begins.
  protocol::capabilities capabilities() override;
  driver_statistics statistics() override;
  // All types that the recording declares anywhere.
  std::vector<uint8_t> types() override { return types_; }
  // Leaves out the records of other types.
  void set_types(uint64_t types) override { selected_types_ = types; }
  void flush() override {}
  void cancel() override {}
  uint64_t now() override { return 0; }  // there is no clock that these records' ages could be told by

  const recording_reader& reader() const { return reader_; }
  std::vector<std::string> take_faults();
  // Nothing was left out: the accounts of the recording can be compared with what came.
  bool everything_came() const {
    return !left_out_ && window_.whole() && reader_.missing_records() == 0 && !damaged_;
  }

 private:
  struct survey {
    std::vector<uint64_t> types;       // where type blocks stand
    std::optional<block_place> first;  // the first block that may hold something of the window
    void note(const block_place& place, const file_source& of);
  };
  survey look_over();
  bool may_hold(const block_header& header) const;
  bool next_block();
  bool selects() const { return !window_.whole() || selected_types_ != ~uint64_t{0}; }
  size_t copy_selected(batch_reader& batch, std::span<uint8_t> buffer);
  bool wanted(const delivered_record& record);

  recording_reader reader_;
  std::vector<uint8_t> types_;
  time_window window_;
  uint64_t selected_types_ = ~uint64_t{0};
  anchor_payload start_anchor_{};  // in force where reading begins; frequency 0: the recording's first
  stream_clock clock_;
  block_place place_;
  std::span<const uint8_t> content_;  // of the block at place_, from the next batch on
  bool left_out_ = false;
  bool damaged_ = false;
  std::vector<std::string> faults_;
};

}  // namespace sluice::recording
