// Option values of --source synthetic. Each parser returns the value or says what is wrong with the text.
#pragma once

#include "consumers/tool/option_values.h"
#include "kernel_port/sources/synthetic/load_shape.h"

namespace sluice::tool {

// "10000", "2.5e6": events a second; "max": 0, as fast as it goes.
parsed<double> parse_rate(std::string_view text);

// "process=1,image=20,own=79": what is not named has no part.
parsed<synthetic::activity_mix> parse_mix(std::string_view text);

// "steady", "poisson", "bursts:1s:10%", "recording:FILE".
struct rhythm_choice {
  enum class kind { steady, poisson, bursts, recording } kind = kind::steady;
  uint64_t period = 0;  // nanoseconds
  double share = 1;
  std::string path;
};
parsed<rhythm_choice> parse_rhythm(std::string_view text);
// Reads the recording, if it is one. Throws as synthetic::from_recording.
synthetic::rhythm make_rhythm(const rhythm_choice& choice);

// "64", "16-512", "recorded".
parsed<synthetic::size_distribution> parse_sizes(std::string_view text);

// "25%", "0.25".
parsed<double> parse_share(std::string_view text);

struct synthetic_choices {
  double rate = 10'000;
  synthetic::activity_mix mix{};
  rhythm_choice rhythm;
  synthetic::size_distribution sizes;
  double dispatch_share = 0.25;
  uint32_t producers_per_cpu = 1;
  uint64_t seed = 1;
  bool waits_for_room = false;
};

}  // namespace sluice::tool
