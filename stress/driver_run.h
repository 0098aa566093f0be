// A run through the whole driver: events raised on the simulated machine, written by the driver's own producers, read
// through its device as a client would. Violations do not return.
#pragma once

#include "stress/options.h"

namespace sluice::stress {

// Prints the summary to stdout.
void run_on_driver(const stress_options& options);

}  // namespace sluice::stress
