// Counts durations in log-linear buckets: 64 to each power of two, so a percentile is at most 1.6 % too high, from 1 ns to
// centuries, in 30 KB. One thread at a time.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace sluice {

class latency_histogram {
 public:
  void add(uint64_t nanoseconds) {
    ++counts_[bucket_of(nanoseconds)];
    ++count_;
    max_ = std::max(max_, nanoseconds);
  }

  uint64_t count() const { return count_; }
  uint64_t max() const { return max_; }

  // No more than this share of the values (0 < share <= 1) is larger; 0 if there are none.
  uint64_t percentile(double share) const {
    if (count_ == 0) return 0;
    const uint64_t wanted = std::max<uint64_t>(1, static_cast<uint64_t>(std::ceil(share * static_cast<double>(count_))));
    uint64_t seen = 0;
    for (uint32_t bucket = 0; bucket < bucket_count; ++bucket) {
      seen += counts_[bucket];
      if (seen >= wanted) return std::min(last_of(bucket), max_);
    }
    return max_;
  }

 private:
  static constexpr uint32_t sub_bits = 6;
  static constexpr uint32_t sub_count = 1u << sub_bits;
  static constexpr uint32_t bucket_count = (64 - sub_bits + 1) * sub_count;

  // Below sub_count each value has its own bucket; above, the bits behind the leading one choose within its power of two.
  static uint32_t bucket_of(uint64_t value) {
    if (value < sub_count) return static_cast<uint32_t>(value);
    const uint32_t shift = static_cast<uint32_t>(std::bit_width(value)) - sub_bits - 1;
    return (shift + 1) * sub_count + static_cast<uint32_t>(value >> shift) - sub_count;
  }
  // The largest value that falls into the bucket.
  static uint64_t last_of(uint32_t bucket) {
    if (bucket < sub_count) return bucket;
    const uint32_t shift = bucket / sub_count - 1;
    const uint64_t first = static_cast<uint64_t>(bucket % sub_count + sub_count) << shift;
    return first + ((uint64_t{1} << shift) - 1);
  }

  std::array<uint64_t, bucket_count> counts_{};
  uint64_t count_ = 0;
  uint64_t max_ = 0;
};

}  // namespace sluice
