// From the times of records, in ticks, to UTC: by the last anchor of the stream,
//
//   utc = anchor.utc + (t - anchor.counter) * 10^7 / anchor.frequency      (128-bit, rounded towards the past)
//
// One thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "consumers/decoded_event.h"

namespace sluice {

class stream_clock {
 public:
  void set_anchor(const anchor_event& anchor) { anchor_ = anchor; }
  // Stream time - counter: 0, until the driver's clock has stepped back (producers/events.h: epoch_payload).
  void set_offset(uint64_t offset) { offset_ = offset; }
  uint64_t time_of_counter(uint64_t counter) const { return counter + offset_; }
  // Ticks per second, as the batches give it; an anchor's own figure is preferred.
  void set_frequency(uint64_t frequency) { frequency_ = frequency; }

  // 100 ns units since 1601-01-01. None before the first anchor, or where the time lies outside the years 1601 to 9999.
  std::optional<uint64_t> utc(uint64_t ticks) const;
  // None if the frequency is not known yet. Saturates.
  std::optional<uint64_t> nanoseconds(uint64_t ticks) const;
  uint64_t frequency() const { return anchor_ ? anchor_->frequency : frequency_; }

 private:
  std::optional<anchor_event> anchor_;
  uint64_t frequency_ = 0;
  uint64_t offset_ = 0;
};

// ticks * units_per_second / frequency, saturating; frequency must not be 0.
uint64_t scale_ticks(uint64_t ticks, uint64_t units_per_second, uint64_t frequency);

// "2026-11-21T04:30:00.1234567Z". Empty outside the years 1601 to 9999.
std::string iso8601(uint64_t utc);
// The reverse; a fraction of a second may have 0 to 7 digits. None: not such a text, or no such day.
std::optional<uint64_t> parse_iso8601(std::string_view text);

}  // namespace sluice
