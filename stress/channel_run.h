// A run on the channel: starts all threads, brings them to rest now and then for an audit and some duets, ends with the
// account of records still open and a forged consumer's word (R5). Violations do not return.
#pragma once

#include "stress/options.h"

namespace sluice::stress {

// Prints the summary to stdout.
void run_on_channel(const stress_options& options);

}  // namespace sluice::stress
