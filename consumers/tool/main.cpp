// The `sluice` tool.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>

#include "consumers/tool/command_line.h"
#include "consumers/tool/live_session.h"
#include "consumers/tool/stop_signals.h"
#include "consumers/tool/watch.h"

namespace {

using namespace sluice::tool;

// A standard descriptor that the caller closed would be given to the next file that is opened, and written to as if it
// were stdout. /dev/null for reading keeps the place, and writing to it fails as it should.
void keep_standard_descriptors() {
  for (int descriptor = 0; descriptor <= 2; ++descriptor) {
    if (::fcntl(descriptor, F_GETFD) < 0) (void)::open("/dev/null", O_RDONLY);
  }
}

int run_watch(const watch_options& options) {
  stop_signals signals;
  live_session session(options);
  return watch(session, options, [&] { return signals.requested() != 0; });
}

}  // namespace

int main(int count, char** arguments) {
  keep_standard_descriptors();
  std::signal(SIGPIPE, SIG_IGN);
  const command_line parsed = parse_command_line(count, arguments);
  if (!parsed.run_watch) return parsed.exit_code;
  try {
    return run_watch(parsed.watch);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sluice: %s\n", error.what());
    return exit_wrong_use;
  }
}
