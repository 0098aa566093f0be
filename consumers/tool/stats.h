// `sluice stats FILE`: reads a whole recording and says on stdout what it holds.
#pragma once

#include <string>

namespace sluice::tool {

// Returns the exit code: damaged input is exit_wrong_use, figures that contradict each other
// exit_broken_invariant. Throws source_error.
int stats(const std::string& path);

}  // namespace sluice::tool
