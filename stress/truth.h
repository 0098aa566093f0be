// What the stress itself knows, independent of the rings.
//
// cpu_truth: changed only by whoever holds that CPU's section, so it is exact at the moment of each section event.
// tally: what one writer asked for and was told; its own until it parks at the gate.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "pipeline/record.h"
#include "stress/event.h"

namespace sluice::stress {

struct alignas(128) cpu_truth {
  uint64_t serial = 0;    // next one
  uint64_t dropped = 0;   // section events
  uint64_t dropped_of[max_record_types] = {};
  uint64_t attempted_of[max_record_types] = {};

  // Free writers count here below DISPATCH_LEVEL. Relaxed: the CPU's section orders what matters, and a stronger order
  // would hide a missing one of the ring from ThreadSanitizer.
  alignas(128) std::atomic<uint64_t> free_begun{0};
  std::atomic<uint64_t> free_dropped{0};
  std::atomic<uint64_t> free_finished{0};
};

struct tally_row {
  uint64_t attempted = 0;
  uint64_t kept = 0;       // got room, and is committed
  uint64_t discarded = 0;  // got room, and is discarded
  uint64_t dropped = 0;    // no room
  uint64_t too_long = 0;   // longer than any record
  uint64_t dropped_bytes = 0;

  void add(const tally_row& other) {
    attempted += other.attempted;
    kept += other.kept;
    discarded += other.discarded;
    dropped += other.dropped;
    too_long += other.too_long;
    dropped_bytes += other.dropped_bytes;
  }
};

class tally {
 public:
  explicit tally(uint32_t cpus) : cpus_(cpus), rows_((cpus + 1) * types) {}

  // unknown_cpu has a row of its own.
  tally_row& row(uint32_t cpu, uint32_t type) {
    return rows_[(cpu == unknown_cpu ? cpus_ : cpu) * types + (type - event_type::first)];
  }
  const tally_row& row(uint32_t cpu, uint32_t type) const { return const_cast<tally*>(this)->row(cpu, type); }

  void add(const tally& other) {
    for (size_t i = 0; i < rows_.size(); ++i) rows_[i].add(other.rows_[i]);
  }

 private:
  static constexpr uint32_t types = event_type::last - event_type::first + 1;
  uint32_t cpus_;
  std::vector<tally_row> rows_;
};

}  // namespace sluice::stress
