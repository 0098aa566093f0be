// Merges the records of all CPUs by time, without a hold-back window.
//
// The rule is that of our own merge (pipeline/merge.h): take T from the clock, then look at every ring, then let go of
// what is older than T. A record that another one causes (a fork and what the child does) can then never come first: if
// the effect is older than T, its cause was in its ring before we looked there, because the effect read its clock after
// the cause was visible. Two records without such a relation may come in either order where the first became visible late
// (an interrupt between its clock and its ring); that is counted, and harms nobody.
//
// One thread.
#pragma once

#include <cstdint>
#include <vector>

#include "kernel_port/sources/live/linux_record.h"

namespace sluice::live {

class record_merge {
 public:
  explicit record_merge(uint32_t ring_count) : last_time_(ring_count, 0) {}

  // Records of one ring come in its order.
  void add(uint32_t ring, linux_record&& record);

  // Everything older than `horizon`, by time. `horizon` was taken before the rings were looked at.
  std::vector<linux_record> take(uint64_t horizon);

  bool holds_records() const { return !held_.empty(); }
  uint64_t out_of_order() const { return out_of_order_; }

 private:
  std::vector<linux_record> held_;
  std::vector<uint64_t> last_time_;  // per ring: the order within a ring stands, whatever the clock did
  uint64_t last_taken_ = 0;
  uint64_t out_of_order_ = 0;
};

}  // namespace sluice::live
