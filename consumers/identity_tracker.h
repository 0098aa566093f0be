// Tells from (cpu, lane, position) whether a record is new, and what of a ring never came.
//
// Positions of one ring rise. A record below the highest end seen is a duplicate, unless it fills a place that was passed
// over before: a reservation that stayed open too long comes after those behind it, marked late. Its place can lie before the
// first record that was seen: it was open when the client attached. Places that stay empty are discarded records, or records
// that were lost on the way. One thread at a time.
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
  // `late`: the record is marked so.
  arrival note(const record_identity& identity, uint32_t record_length, bool late);

  // From here on the records come another way: what of a ring does not come between the last record before and the first after
  // it, was missed by that.
  void interrupted() {
    for (auto& [which, from] : rings_) from.interrupted = true;
  }
  uint64_t interrupted_bytes() const { return interrupted_bytes_; }

  uint64_t gap_bytes(uint16_t cpu) const;
  // Places given up because there were too many. A late record from there, or from before, counts as new: it comes twice only where
  // a lost connection was made again, and an event twice is less than an event never.
  uint64_t forgotten_gaps() const { return forgotten_gaps_; }

 private:
  static constexpr size_t max_gaps = 4096;

  struct ring {
    bool seen = false;
    bool interrupted = false;            // since the record before `end`
    uint64_t first = 0;                  // where the first record seen begins
    uint64_t end = 0;                    // behind the furthest record seen
    uint64_t gap_bytes = 0;              // of places behind `first` that are still empty
    std::map<uint64_t, uint64_t> gaps;   // start -> end; what lies before `first`, too
    uint64_t forgotten_end = 0;          // behind the last place that was given up
  };
  void add_gap(ring& to, uint64_t start, uint64_t end);
  static uint32_t key(uint16_t cpu, uint8_t lane) { return static_cast<uint32_t>(cpu) << 8 | lane; }

  std::unordered_map<uint32_t, ring> rings_;
  uint64_t forgotten_gaps_ = 0;
  uint64_t interrupted_bytes_ = 0;
};

}  // namespace sluice
