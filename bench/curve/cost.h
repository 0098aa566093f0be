#pragma once

namespace sluice::bench {

class lttng_daemon;

// Prints the figures of every turn. False: an event found no room, so that they mean nothing.
bool measure_cost(const lttng_daemon& daemon, int turns);

}  // namespace sluice::bench
