// What was done, for the reader: printed by each test and summed up at the end, and refused if it is suspiciously little.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>

namespace sluice::instruction {

// Set by main: everything at full length, or what fits in a test run of seconds.
inline bool long_run = false;

struct tally {
  uint64_t runs = 0;           // pieces of code stepped
  uint64_t boundaries = 0;     // instruction boundaries visited
  uint64_t continuations = 0;  // whole continuations tried from them
  uint32_t states_seen = 0;    // world::states_seen

  static tally& total() {
    static tally sum;
    return sum;
  }

  void report(const char* what, uint64_t least_each) const {
    std::printf("%s: %llu instructions in %llu runs, %llu continuations\n", what, static_cast<unsigned long long>(boundaries),
                static_cast<unsigned long long>(runs), static_cast<unsigned long long>(continuations));
    total().runs += runs;
    total().boundaries += boundaries;
    total().continuations += continuations;
    ASSERT_GT(runs, 0u);
    EXPECT_GE(boundaries / runs, least_each) << "too few instructions: was it stepped at all?";
  }
};

}  // namespace sluice::instruction
