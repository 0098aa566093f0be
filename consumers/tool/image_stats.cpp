#include "consumers/tool/image_stats.h"

#include <fmt/format.h>

#include "consumers/event_stream.h"
#include "consumers/tool/image_session.h"
#include "consumers/tool/tally.h"

namespace sluice::tool {

int image_stats(const command_line& asked) {
  image::image_source source(asked.stats_path, image_options_of(asked.stats_image));
  event_stream stream(source);
  tally counted;
  uint64_t faults = 0;
  const auto tell = [&](const std::vector<std::string>& lines) {
    for (const std::string& line : lines) fmt::print(stderr, "sluice: {}\n", line);
    faults += lines.size();
  };
  while (stream.last_read() != read_status::end) {
    for (const decoded_event* event = stream.next(std::chrono::seconds(1)); event != nullptr;
         event = stream.next(std::chrono::nanoseconds(0))) {
      counted.add(*event, stream.clock());
    }
    tell(stream.take_faults());
    tell(source.take_faults());
  }
  if (asked.stats_format == output_format::jsonl) {
    for (const std::string& line : image::to_json_lines(source.report(), stream.names(), stream.clock())) {
      fmt::print("{}\n", line);
    }
  } else {
    fmt::print("{}: {}\n", asked.stats_path, describe(source.report()));
    counted.print(stream.names());
    fmt::print("announced as lost: {}; late: {}\n", stream.account().announced_events(), stream.account().late_records());
    for (const std::string& line : image::describe(source.report(), stream.names())) fmt::print("{}\n", line);
  }
  return faults != 0 ? exit_wrong_use : exit_ok;
}

}  // namespace sluice::tool
