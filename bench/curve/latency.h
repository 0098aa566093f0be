// From a driver's callback to a client in another process.
#pragma once

#include <string>

#include "consumers/latency_histogram.h"

namespace sluice::bench {

struct latency_result {
  latency_histogram from_callback;  // nanoseconds, from the record's time until the client has the batch
  latency_histogram from_due;       // from the time when the event should have been made: a late generator shows
};

// `events` at even gaps, `rate` a second, over `transport`; the client sleeps in between. Throws std::exception.
latency_result measure_latency(const std::string& transport, uint64_t rate, uint64_t events);

}  // namespace sluice::bench
