// `sluice watch --connect NAME`: the events of a kernel that runs elsewhere, as one of its clients (consumers/client/client.h).
//
// Types and a filter are this client's own, and change nothing for others. It waits in the kernel: while nothing happens, it does not
// wake up. The summary compares what came with the driver's account of this client, where the transport has one.
#pragma once

#include "consumers/tool/command_line.h"
#include "consumers/tool/filter_option.h"
#include "consumers/tool/stop_signals.h"

namespace sluice::tool {

// Returns the exit code: exit_wrong_use also if the kernel went away, when everything that had come was printed. Throws source_error.
int watch_connected(const watch_options& options, filter_option* filter, stop_signals& signals);

}  // namespace sluice::tool
