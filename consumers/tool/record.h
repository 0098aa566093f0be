// `sluice record`: a watch that prints nothing and keeps everything.
#pragma once

#include <functional>

#include "consumers/tool/command_line.h"
#include "consumers/tool/session.h"

namespace sluice::tool {

// Returns the exit code. Throws source_error, std::system_error.
int record(session& watched, const record_options& options, const std::function<bool()>& stop_requested);

}  // namespace sluice::tool
