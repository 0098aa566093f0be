// `sluice stats FILE` of an image: reads all of its rings and says on stdout, for people or for programs, what they hold.
#pragma once

#include "consumers/tool/command_line.h"

namespace sluice::tool {

// Returns the exit code: a damaged image is exit_wrong_use. Throws source_error.
int image_stats(const command_line& asked);

}  // namespace sluice::tool
