#include "consumers/tool/stats.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "consumers/event_stream.h"
#include "consumers/recording/file_source.h"
#include "consumers/stream_clock.h"
#include "consumers/tool/command_line.h"
#include "consumers/tool/progress.h"

namespace sluice::tool {
namespace {

constexpr uint64_t second = 10'000'000;  // 100 ns units

// What passes by, counted by type, CPU and second.
class tally {
 public:
  void add(const decoded_event& event, const stream_clock& clock) {
    ++by_type_[event.type];
    ++by_cpu_[event.identity.cpu];
    const std::optional<uint64_t> utc = clock.utc(event.time);
    if (!utc) return;
    first_ = first_ ? std::min(*first_, *utc) : *utc;
    last_ = last_ ? std::max(*last_, *utc) : *utc;
    if (*utc / second != second_) {
      second_ = *utc / second;
      in_second_ = 0;
    }
    if (++in_second_ > busiest_) {
      busiest_ = in_second_;
      busiest_second_ = second_;
    }
  }

  void print(const decoder& names) const {
    if (first_) {
      const uint64_t span = *last_ - *first_;
      fmt::print("time: {} to {} ({:.3f} s)\n", iso8601(*first_), iso8601(*last_),
                 static_cast<double>(span) / second);
      uint64_t records = 0;
      for (const auto& [cpu, count] : by_cpu_) records += count;
      fmt::print("rate: {:.1f} records/s; busiest second: {} records, at {}\n",
                 static_cast<double>(records) * second / static_cast<double>(std::max<uint64_t>(span, 1)),
                 busiest_, iso8601(busiest_second_ * second));
    }
    fmt::print("{:<24}{:>12}\n", "type", "records");
    for (const auto& [type, count] : by_type_) fmt::print("{:<24}{:>12}\n", names.name_of(type), count);
    fmt::print("{:<24}{:>12}\n", "cpu", "records");
    for (const auto& [cpu, count] : by_cpu_) fmt::print("{:<24}{:>12}\n", cpu, count);
  }

 private:
  std::map<uint16_t, uint64_t> by_type_;
  std::map<uint16_t, uint64_t> by_cpu_;
  std::optional<uint64_t> first_, last_;
  uint64_t second_ = 0, in_second_ = 0, busiest_ = 0, busiest_second_ = 0;
};

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

int stats(const std::string& path) {
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
