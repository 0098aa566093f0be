// What synthetic load looks like: what happens, how often, in which rhythm, and how large it is. Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace sluice::synthetic {

enum class activity_kind : uint8_t { process, thread, image, registry, own };
inline constexpr uint32_t activity_kinds = 5;
const char* name_of(activity_kind kind);

// Parts of the whole; they need not add up to anything.
using activity_mix = std::array<double, activity_kinds>;

// How the rate changes with time: it is multiplied by `levels`, one after another, each for `step` nanoseconds, for ever.
// Their mean is 1.
struct rhythm {
  uint64_t step = 1'000'000'000;
  std::vector<double> levels = {1.0};
  bool random_gaps = false;  // a Poisson process; otherwise gaps are even
};
rhythm steady();
rhythm poisson();
// The whole rate within `share` of each period, nothing in the rest. 0 < share <= 1.
rhythm bursts(uint64_t period, double share);
// As it is in a recording (docs/replay.md), in steps of 100 ms. Throws std::runtime_error, std::system_error.
rhythm from_recording(const std::string& path);

// How long the variable part of a record is, bytes: paths, command lines, data, own payloads.
struct size_distribution {
  uint32_t least = 64, most = 64;  // evenly between these,
  bool as_recorded = false;        // or as in recorded Windows activity: median 122, 95 % below 434, 99 % below 816, up to 10970
};

// The same seed gives the same sequence. One thread each.
class dice {
 public:
  explicit dice(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 0x632be59bd9b4e019u) {}
  double unit();  // [0, 1)
  uint64_t next();
  double exponential();  // mean 1
  bool chance(double share) { return unit() < share; }

 private:
  uint64_t state_;
};

activity_kind choose(const activity_mix& mix, dice& random);
uint32_t choose(const size_distribution& sizes, dice& random);

// When one producer's events are due, nanoseconds from the start. One thread.
class pacer {
 public:
  // `per_second` of this producer, over the whole rhythm; more than 0. `phase`, from 0 to 1, is how much of the first gap is over.
  pacer(const rhythm& shape, double per_second, dice random, double phase);
  double next();

 private:
  const rhythm& shape_;
  double per_level_;  // events in one step at level 1
  dice random_;
  double at_ = 0;     // in steps, since the start
  double first_;
};

}  // namespace sluice::synthetic
