// The torture: machines of many CPUs in several processor groups, one after another, with everything that can happen to a driver going
// on at once. CPUs are added, the driver is loaded and unloaded, clients of every transport come and go, filters and clocks
// change, threads are suspended. Violations do not return. docs/stress.md
#pragma once

#include "stress/options.h"

namespace sluice::stress {

// Until `options.seconds` have passed (0: until `options.events` were raised). Prints the summary to stdout.
void run_torture(const stress_options& options);

}  // namespace sluice::stress
