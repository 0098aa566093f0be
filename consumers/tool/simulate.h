// `sluice simulate`: a simulated machine with the driver loaded, served to other processes (consumers/nt/socket_system.h) while a
// session's source drives it; until the time is over, the source has come to its end, or the user stops it. Then the load stops,
// clients read what is left for as long as they read, and the account is checked and printed.
//
// stdout: "serving PATH", once clients can connect. stderr: everything else.
#pragma once

#include "consumers/tool/command_line.h"
#include "consumers/tool/session.h"
#include "consumers/tool/stop_signals.h"

namespace sluice::tool {

// Returns the exit code. There is a machine, of the session. Throws what session and host throw.
int simulate(session& simulated, const simulate_options& options, stop_signals& signals);

}  // namespace sluice::tool
