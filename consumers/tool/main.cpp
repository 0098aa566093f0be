// The `sluice` tool.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>

#include "consumers/tool/command_line.h"
#include "consumers/tool/connected_requests.h"
#include "consumers/tool/connected_watch.h"
#include "consumers/tool/file_session.h"
#include "consumers/tool/filter_option.h"
#include "consumers/tool/image_session.h"
#include "consumers/tool/image_stats.h"
#include "consumers/tool/live_session.h"
#include "consumers/tool/program.h"
#include "consumers/tool/record.h"
#include "consumers/tool/replay_session.h"
#include "consumers/tool/simulate.h"
#include "consumers/tool/snapshot_session.h"
#include "consumers/tool/stats.h"
#include "consumers/tool/stop_signals.h"
#include "consumers/tool/synthetic_session.h"
#include "consumers/tool/watch.h"

namespace {

using namespace sluice::tool;

// A standard descriptor that the caller closed would be given to the next file that is opened, and written to
// as if it were stdout. /dev/null for reading keeps the place, and writing to it fails as it should.
void keep_standard_descriptors() {
  for (int descriptor = 0; descriptor <= 2; ++descriptor) {
    if (::fcntl(descriptor, F_GETFD) < 0) (void)::open("/dev/null", O_RDONLY);
  }
}

std::unique_ptr<session> make_session(const watch_options& options) {
  switch (options.source.kind) {
    case source_kind::live:
      break;
    case source_kind::synthetic: return std::make_unique<synthetic_session>(options);
    case source_kind::replay: return std::make_unique<replay_session>(options);
    case source_kind::file:
      return std::make_unique<file_session>(options);
    case source_kind::image: return std::make_unique<image_session>(options);
  }
  return std::make_unique<live_session>(options);
}

int run(const command_line& parsed) {
  if (parsed.run == command_line::command::stats) {
    if (!parsed.connect.empty()) return stats_connected(parsed.connect);
    return is_recording(parsed.stats_path) ? stats(parsed) : image_stats(parsed);
  }
  if (parsed.run == command_line::command::check_filter) return check_filter(parsed.filter_path);
  if (parsed.run == command_line::command::show_filter) return show_filter(parsed.connect);
  if (parsed.run == command_line::command::set_filter) return set_filter(parsed.connect, parsed.filter_path);
  if (parsed.run == command_line::command::clear_filter) return clear_filter(parsed.connect);
  const bool records = parsed.run == command_line::command::record;
  const bool simulates = parsed.run == command_line::command::simulate;
  const watch_options& options = records ? parsed.record.watch : simulates ? parsed.simulate.watch : parsed.watch;
  std::optional<filter_option> filter;
  if (!options.filter_path.empty()) filter.emplace(options.filter_path);  // before anything takes long
  std::optional<snapshot_signal> snapshots_asked;
  if (!options.snapshot_path.empty()) snapshots_asked.emplace();  // before the first thread, which the next line starts
  stop_signals signals;
  if (!options.connect.empty()) return watch_connected(options, filter ? &*filter : nullptr, signals);
  const auto stop_requested = [&] { return signals.requested() != 0; };
  const std::unique_ptr<session> made = make_session(options);
  std::optional<snapshot_session> with_snapshots;
  if (snapshots_asked) with_snapshots.emplace(*made, options.snapshot_path, *snapshots_asked);
  session& watched = with_snapshots ? *with_snapshots : *made;
  if (filter) {
    for (const std::string& line : filter->apply(watched.source())) std::fprintf(stderr, "%s\n", line.c_str());
  }
  if (simulates) return simulate(watched, parsed.simulate, signals);
  return records ? record(watched, parsed.record, stop_requested) : watch(watched, options, stop_requested);
}

}  // namespace

int main(int count, char** arguments) {
  keep_standard_descriptors();
  std::signal(SIGPIPE, SIG_IGN);
  return run_program([&] {
    const command_line parsed = parse_command_line(count, arguments);
    return parsed.run == command_line::command::none ? parsed.exit_code : run(parsed);
  });
}
