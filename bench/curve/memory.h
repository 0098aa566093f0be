// What a CPU's queue takes, and how many events of 64 bytes it holds while nobody reads.
#pragma once

#include <string>
#include <vector>

#include "bench/curve/lttng.h"

namespace sluice::bench {

struct memory_figures {
  std::string design;
  uint64_t bytes;
  uint64_t held;  // events, counted
};

std::vector<memory_figures> measure_memory(uint64_t ring_bytes, const lttng_daemon& daemon);

}  // namespace sluice::bench
