// What the tests of the merge share: CPUs whose clock stands still until the test moves it, and passes that give back what they took.
#pragma once

#include <gtest/gtest.h>

#include "tests/pipeline/support.h"

namespace sluice::test {

// The time is set before each event.
struct merge_case : testing::Test {
  manual_time time;
  std::vector<std::unique_ptr<test_cpu>> cpus;
  std::function<void()> at_barrier;
  collector sink;

  void make(uint32_t count, const cpu_options& base = {}) {
    for (uint32_t i = 0; i < count; ++i) {
      cpu_options options = base;
      options.cpu = static_cast<uint16_t>(i);
      cpus.push_back(std::make_unique<test_cpu>(manual_clock{&time}, options));
    }
  }
  std::vector<const lane*> mains() const {
    std::vector<const lane*> lanes;
    for (const auto& cpu : cpus) lanes.push_back(&cpu->main);
    return lanes;
  }
  exact_merge merge_of(const std::vector<const lane*>& lanes, merge_options options = {}) {
    return exact_merge(manual_clock{&time}, exact(scripted_barrier{&at_barrier}), lanes, options);
  }
  exact_merge merge(merge_options options = {}) { return merge_of(mains(), options); }
  void write(uint32_t cpu, uint64_t at, uint64_t value, uint16_t type = ordinary_type) {
    time.now = at;
    ASSERT_EQ(cpus[cpu]->write(value, 8, type), reserve_status::ok);
  }
  record reserve(uint32_t cpu, uint64_t at) {
    time.now = at;
    record open;
    EXPECT_EQ(cpus[cpu]->reserve(open), reserve_status::ok);
    return open;
  }
  pass_result pass(exact_merge& m, uint64_t at) {
    time.now = at;
    const pass_result result = m.pass(sink);
    m.merged.release();
    return result;
  }
};
using values = std::vector<uint64_t>;

}  // namespace sluice::test
