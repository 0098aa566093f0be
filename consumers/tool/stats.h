// `sluice stats FILE`: reads a whole recording and says on stdout what it holds.
#pragma once

#include <string>

#include "consumers/tool/command_line.h"

namespace sluice::tool {

// Returns the exit code: damaged input is exit_wrong_use, figures that contradict each other
// exit_broken_invariant. Throws source_error.
int stats(const command_line& asked);

// Whether the file begins as a recording does, whatever follows. Throws source_error if it cannot be read.
bool is_recording(const std::string& path);

}  // namespace sluice::tool
