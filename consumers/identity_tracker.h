// Tells from (cpu, lane, position) whether a record is new, and what of a ring never came.
//
// Positions of one ring rise. A record below the highest end seen is a duplicate, unless it fills a place that was passed
// over before: a reservation that stayed open too long comes after those behind it, marked late. Places that stay empty
// are discarded records, or records that were lost on the way. One thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <unordered_map>

#include "pipeline/batch.h"

namespace sluice {

enum class arrival {
  in_order,
  filled_gap,    // a place that was passed over: right if the record is marked late, out of order otherwise
  duplicate,     // has been here already
};

class identity_tracker {
 public:
  arrival note(const record_identity& identity, uint32_t record_length);

  // From here on the records come another way: what of a ring does not come between the last record before and the first after
  // it, was missed by that.
  void interrupted() {
    for (auto& [which, from] : rings_) from.interrupted = true;
  }
  uint64_t interrupted_bytes() const { return interrupted_bytes_; }

  uint64_t gap_bytes(uint16_t cpu) const;
  // Places given up because there were too many; a late record that falls into one counts as a duplicate.
  uint64_t forgotten_gaps() const { return forgotten_gaps_; }

 private:
  static constexpr size_t max_gaps = 4096;

  struct ring {
    bool seen = false;
    bool interrupted = false;            // since the record before `end`
    uint64_t end = 0;                    // behind the furthest record seen
    uint64_t gap_bytes = 0;              // of places that are still empty
    std::map<uint64_t, uint64_t> gaps;   // start -> end
  };
  static uint32_t key(uint16_t cpu, uint8_t lane) { return static_cast<uint32_t>(cpu) << 8 | lane; }

  std::unordered_map<uint32_t, ring> rings_;
  uint64_t forgotten_gaps_ = 0;
  uint64_t interrupted_bytes_ = 0;
};

}  // namespace sluice
