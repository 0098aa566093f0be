// What passes by, counted by type, CPU and second: what `sluice stats` prints of a recording or an image. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "consumers/decoder.h"
#include "consumers/stream_clock.h"

namespace sluice::tool {

class tally {
 public:
  void add(const decoded_event& event, const stream_clock& clock);
  // To stdout.
  void print(const decoder& names) const;

 private:
  std::map<uint16_t, uint64_t> by_type_;
  std::map<uint16_t, uint64_t> by_cpu_;
  std::optional<uint64_t> first_, last_;  // UTC
  uint64_t second_ = 0, in_second_ = 0, busiest_ = 0, busiest_second_ = 0;
};

}  // namespace sluice::tool
