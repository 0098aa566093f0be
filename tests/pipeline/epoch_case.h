// What the tests of epochs share: a merge in which a step back of the clock by up to 10 ticks is absorbed, one of more begins an epoch.
#pragma once

#include "pipeline/epoch.h"
#include "tests/pipeline/merge_case.h"

namespace sluice::test {

inline constexpr uint64_t step_back = 10;
inline constexpr uint64_t hour = 3'600'000;

struct epoch_case : merge_case {
  void make(uint32_t count) {
    cpu_options options;
    options.step_back = step_back;
    merge_case::make(count, options);
  }
  exact_merge merge(merge_options options = {0, step_back}) { return merge_of(lanes_of(cpus), options); }
  // Without the spare lanes, which are always empty here: every ring can have a record.
  exact_merge merge_of_mains() { return merge_of(mains(), {0, step_back}); }
  // R2 of the stream: whatever the clock did, times never decrease but for late records.
  void expect_rising() const {
    uint64_t last = 0;
    for (const received& r : sink.records) {
      if (r.late) continue;
      EXPECT_GE(r.time, last) << "value " << r.value();
      last = std::max(last, r.time);
    }
  }
};

}  // namespace sluice::test
