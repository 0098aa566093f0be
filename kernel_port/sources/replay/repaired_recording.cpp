#include "kernel_port/sources/replay/repaired_recording.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::replay {
namespace {

constexpr size_t most_faults_kept = 1000;
constexpr uint64_t lines_between_looks = 4096;

}  // namespace

repaired_recording::repaired_recording(const std::string& path, const std::function<bool(const reading_progress&)>& watch)
    : path_(path) {
  learn(watch);
  if (counts_.lines == 0 && all_faults_ == 0) throw replay_error(fmt::format("{}: the recording is empty", path_));
  collect(watch);
  stream_ = std::make_unique<pass>(path_);
}

repaired_recording::~repaired_recording() = default;

void repaired_recording::fault(uint64_t line, const std::string& what) {
  ++all_faults_;
  if (faults_.size() < most_faults_kept) faults_.push_back(fmt::format("{}: line {}: {}", path_, line, what));
}

// False: the file ends, or cannot be read on. `tells`: describes what is wrong; once is enough.
bool repaired_recording::read_event(pass& from, recorded_event& event, bool tells) {
  std::string_view line;
  for (;;) {
    const bool more = from.lines.next(line);
    if (from.lines.skipped_long_line() && tells) {
      ++counts_.bad_lines;
      fault(more ? from.lines.line_number() - 1 : from.lines.line_number() + 1,
            fmt::format("longer than {} bytes", line_reader::longest_line));
    }
    if (!more) {
      if (tells && !from.lines.fault().empty()) {
        ++all_faults_;
        faults_.push_back(fmt::format("{}: {}; what is behind it is lost", path_, from.lines.fault()));
      }
      return false;
    }
    if (line.empty()) continue;
    const std::string wrong = from.parser.parse(line, event);
    if (wrong.empty()) break;
    if (tells) {
      ++counts_.bad_lines;
      fault(from.lines.line_number(), wrong);
    }
  }
  event.line = from.lines.line_number();
  if (event.time + jump < from.newest) {
    ++from.segment;
    from.newest = event.time;
  }
  from.newest = std::max(from.newest, event.time);
  return true;
}

// What was there the first time, and no more. False: that was all.
bool repaired_recording::read_again(pass& from, recorded_event& event) {
  if (from.events == counts_.lines) return false;
  if (!read_event(from, event, false)) {
    const std::string& why = from.lines.fault();
    throw replay_error(fmt::format("{}: {} events when it was looked through, only {} now{}{}", path_, counts_.lines, from.events,
                                   why.empty() ? "" : ": ", why));
  }
  ++from.events;
  return true;
}

// Empty: nobody knows the process.
std::string repaired_recording::key_of(const recorded_event& event, uint32_t segment) const {
  if (event.guid.empty()) return {};
  return fmt::format("{}/{}/{}", segment, event.host, event.guid);
}

void repaired_recording::learn(const std::function<bool(const reading_progress&)>& watch) {
  pass reading(path_);
  recorded_event event;
  while (read_event(reading, event, true)) {
    if (++counts_.lines % lines_between_looks == 0 && watch &&
        !watch({1, reading.lines.bytes_read(), reading.lines.file_bytes()})) {
      throw replay_error(fmt::format("{}: given up at line {}", path_, event.line));
    }
    if (std::find(hosts_.begin(), hosts_.end(), event.host) == hosts_.end()) {
      if (hosts_.size() == most_hosts) {
        throw replay_error(fmt::format("{}: line {}: more than {} hosts", path_, event.line, most_hosts));
      }
      hosts_.push_back(event.host);
    }
    const std::string key = key_of(event, reading.segment);
    if (key.empty()) continue;
    process_span& span = processes_[key];
    if (processes_.size() > most_processes) {
      throw replay_error(fmt::format("{}: line {}: more than {} processes", path_, event.line, most_processes));
    }
    span.first = std::min(span.first, event.time);
    if (event.kind == event_kind::process_exit) {
      span.last_exit = std::max(span.last_exit, event.time);
      span.exits = true;
    }
  }
  counts_.jumps_back = reading.segment;
  counts_.processes = processes_.size();
}

repaired_recording::place repaired_recording::place_of(const recorded_event& event, uint32_t segment) const {
  place where{segment, event.time, rank::other, event.line};
  const auto found = processes_.find(key_of(event, segment));
  if (event.kind == event_kind::process_create) {
    where.order = rank::creation;
    if (found != processes_.end()) where.time = found->second.first;
  } else if (event.kind == event_kind::process_exit) {
    where.order = rank::exit;
  }
  if (found != processes_.end() && found->second.exits) where.time = std::min(where.time, found->second.last_exit);
  return where;
}

// True: the event can be given out as the file streams by. An exit never can: others of the same time may follow it.
bool repaired_recording::stays(pass& in, const place& where) const {
  if (where.order == rank::exit || where < in.furthest) return false;
  in.furthest = where;
  return true;
}

void repaired_recording::collect(const std::function<bool(const reading_progress&)>& watch) {
  pass reading(path_);
  recorded_event event;
  size_t bytes = 0;
  while (read_again(reading, event)) {
    if (reading.events % lines_between_looks == 0 && watch && !watch({2, reading.lines.bytes_read(), reading.lines.file_bytes()})) {
      throw replay_error(fmt::format("{}: given up at line {}", path_, event.line));
    }
    const place where = place_of(event, reading.segment);
    if (stays(reading, where)) continue;
    if (where.time != event.time || where.order != rank::exit) ++counts_.moved;
    bytes += event.bytes();
    if (bytes > most_moved_bytes) {
      throw replay_error(fmt::format("{}: line {}: {} events are not where their times belong, more than {} MiB of them; "
                                     "sort the recording by time first",
                                     path_, event.line, moved_.size(), most_moved_bytes >> 20));
    }
    moved_.push_back({where, std::move(event)});
  }
  std::sort(moved_.begin(), moved_.end(), [](const moved_event& a, const moved_event& b) { return a.where < b.where; });
}

bool repaired_recording::next(repaired_event& event) {
  while (!has_staying_ && read_again(*stream_, staying_.event)) {
    staying_place_ = place_of(staying_.event, stream_->segment);
    has_staying_ = stays(*stream_, staying_place_);
  }
  if (next_moved_ < moved_.size() && (!has_staying_ || moved_[next_moved_].where < staying_place_)) {
    moved_event& moved = moved_[next_moved_++];
    event.event = std::move(moved.event);
    event.segment = moved.where.segment;
    event.time = moved.where.time;
    return true;
  }
  if (!has_staying_) return false;
  has_staying_ = false;
  event.event = std::move(staying_.event);
  event.segment = staying_place_.segment;
  event.time = staying_place_.time;
  return true;
}

reading_progress repaired_recording::progress() const {
  return {3, stream_->lines.bytes_read(), stream_->lines.file_bytes()};
}

}  // namespace sluice::replay
