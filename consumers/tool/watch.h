// `sluice watch`: prints what a session's source delivers until the time is over, the user stops it or nobody reads stdout
// any more; then stops the activity, reads what is still on its way, checks the accounts and prints the summary.
#pragma once

#include <functional>

#include "consumers/tool/command_line.h"
#include "consumers/tool/session.h"

namespace sluice::tool {

struct watch_streams {
  int events = 1;    // descriptor: events, and nothing else
  int messages = 2;  // descriptor: everything else
};

// Returns the exit code. `stop_requested` is asked several times a second. Throws what the session throws.
int watch(session& watched, const watch_options& options, const std::function<bool()>& stop_requested,
          const watch_streams& streams = {});

}  // namespace sluice::tool
