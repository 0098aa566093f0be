#include "consumers/tool/stats.h"

#include <fmt/format.h>

#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "consumers/event_stream.h"
#include "consumers/os/input_file.h"
#include "consumers/recording/file_source.h"
#include "consumers/stream_clock.h"
#include "consumers/tool/command_line.h"
#include "consumers/tool/progress.h"
#include "consumers/tool/tally.h"

namespace sluice::tool {
namespace {

const char* name_of(recording::end_reason reason) {
  switch (reason) {
    case recording::end_reason::closed:
      return "closed";
    case recording::end_reason::disk_full:
      return "the disk was full";
    case recording::end_reason::write_failed:
      return "it could not be written";
  }
  return "unknown";
}

}  // namespace

bool is_recording(const std::string& path) {
  os::input_file file(path);
  char magic[sizeof recording::header_magic] = {};
  size_t read = 0;
  for (size_t n = 1; file.error() == 0 && n != 0 && read < sizeof magic; read += n) {
    n = file.read(std::span(magic).subspan(read));
  }
  if (file.error() != 0) throw source_error(fmt::format("cannot read {}: {}", path, std::strerror(file.error())));
  return read == sizeof magic && std::memcmp(magic, recording::header_magic, sizeof magic) == 0;
}

int stats(const command_line& asked) {
  const std::string& path = asked.stats_path;
  if (asked.stats_format != output_format::text || asked.stats_image.boot || asked.stats_image.unread_only) {
    throw source_error(path + ": --format jsonl, --boot and --unread are for images; this is a recording");
  }
  recording::file_source source(path);
  const recording::recording_reader& reader = source.reader();
  const protocol::capabilities about = source.capabilities();
  event_stream stream(source);
  progress shown(2);
  tally counted;
  uint64_t faults = 0;
  const auto tell = [&](const std::vector<std::string>& lines) {
    for (const std::string& line : lines) {
      shown.clear();
      fmt::print(stderr, "sluice: {}\n", line);
      ++faults;
    }
  };
  while (stream.last_read() != read_status::end) {
    for (const decoded_event* event = stream.next(std::chrono::seconds(1)); event != nullptr;
         event = stream.next(std::chrono::nanoseconds(0))) {
      counted.add(*event, stream.clock());
    }
    tell(stream.take_faults());
    tell(source.take_faults());
    if (shown.due()) {
      shown.show(fmt::format("{} of {} MiB read", reader.position() >> 20, reader.file_bytes() >> 20));
    }
  }
  shown.clear();

  fmt::print("{}: a recording of version {}, made {}\n", path, reader.header().version,
             iso8601(reader.header().created_utc));
  fmt::print("source: {}\n", reader.title());
  fmt::print("boot {}, {} CPUs, {} ticks per second\n", iso8601(about.boot), about.cpu_count,
             about.clock_frequency);
  fmt::print("file: {} bytes; {} records\n", reader.file_bytes(), stream.account().received_records());
  counted.print(stream.names());
  fmt::print("announced as lost: {}; late: {}\n", stream.account().announced_events(),
             stream.account().late_records());

  const std::optional<recording::recording_end>& end = reader.end();
  if (reader.missing_records() != 0)
    fmt::print("missing from the file: {} records that were stored\n", reader.missing_records());
  if (!end) {
    fmt::print("the recording has no end, and so no accounts\n");
  } else {
    fmt::print("ended: {}; {} records stored, {} not\n", name_of(end->reason), end->records_stored,
               end->records_not_stored);
  }
  if (faults != 0) return exit_wrong_use;
  if (!end || !end->has_statistics || end->records_not_stored != 0) return exit_ok;
  const std::vector<std::string> broken =
      stream.account().check(end->statistics, end->raised.by_type.empty() ? nullptr : &end->raised);
  for (const std::string& line : broken) fmt::print("{}\n", line);
  if (!broken.empty()) return exit_broken_invariant;
  fmt::print("R3 holds: every event attempted is here, was discarded, was announced as lost, or was open\n");
  return exit_ok;
}

}  // namespace sluice::tool
