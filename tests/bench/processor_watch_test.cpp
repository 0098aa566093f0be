// How long a benchmark's consumer was kept from its processor.
#include "bench/curve/processor_watch.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "bench/support.h"

namespace sluice::bench {
namespace {

TEST(ProcessorWatch, TellsTheLongestAbsence) {
  const uint64_t begin = monotonic_nanoseconds();
  processor_watch watch(begin);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const uint64_t now = monotonic_nanoseconds();
  watch.look(now);
  const uint64_t longest = watch.longest();
  EXPECT_GE(longest, 10'000'000u);
  EXPECT_LE(longest, now - begin);
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
  watch.look(monotonic_nanoseconds());
  EXPECT_GE(watch.longest(), longest);
}

TEST(ProcessorWatch, TimeOnTheProcessorIsNoAbsence) {
  const uint64_t begin = monotonic_nanoseconds();
  processor_watch watch(begin);
  const uint64_t before = processor_watch::processor_time();
  while (monotonic_nanoseconds() - begin < 20'000'000) continue;
  const uint64_t used = processor_watch::processor_time() - before;
  const uint64_t passed = monotonic_nanoseconds() - begin;
  watch.look(begin + passed);
  EXPECT_LE(watch.longest(), passed - used);
}

}  // namespace
}  // namespace sluice::bench
