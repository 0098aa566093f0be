#include "consumers/image/image_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "consumers/utf16.h"

namespace sluice::image {
namespace {

const char* name_of_lane(uint8_t lane) { return lane == lane_main ? "main" : "spare"; }
const char* name_of_kind(image_kind kind) { return kind == image_kind::core ? "core" : "raw"; }
const char* name_of_state(record_state state) { return state == record_state::reserved ? "reserved" : "stamped"; }

std::string age_text(uint64_t nanoseconds) {
  if (nanoseconds < 10'000'000) return fmt::format("{:.1f} us", static_cast<double>(nanoseconds) / 1e3);
  return fmt::format("{:.1f} ms", static_cast<double>(nanoseconds) / 1e6);
}

uint64_t age_of(const open_reservation& open, const image_report& report) {
  const uint64_t newest = report.newest_time();
  if (open.time == 0 || newest <= open.time || report.clock_frequency == 0) return 0;
  return scale_ticks(newest - open.time, 1'000'000'000, report.clock_frequency);
}

std::string describe_open(const ring_report& ring, const open_reservation& open, const image_report& report,
                          const decoder& names) {
  std::string line = fmt::format("open: {} on cpu {} ({}) at position {}, {} bytes, {}", names.name_of(open.type), ring.cpu,
                                 name_of_lane(ring.lane), open.position, open.length, name_of_state(open.state));
  if (open.state == record_state::stamped) {
    line += fmt::format(", {} older than the newest record", age_text(age_of(open, report)));
  }
  if (open.pid) line += fmt::format(", held by {}/{}", *open.pid, *open.tid);
  return line;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  append_json(out, text);
  return out + "\"";
}

std::string json_of(const ring_report& ring, const image_report& report, const decoder& names) {
  std::string line = fmt::format(
      R"({{"type":"ring","cpu":{},"lane":{},"address":{},"capacity":{},"mode":"{}","begin":{},"consumed":{},"published":{},)"
      R"("complete":{},"taken":{},"discarded":{},"overwritten":{},"overwritten_at_most":{},"out_of_order":{},"first_time":{},"last_time":{},"damaged_bytes":{},"open":[)",
      ring.cpu, ring.lane, ring.address, ring.capacity, name_of(ring.mode), ring.begin, ring.consumed, ring.published, ring.complete, ring.taken,
      ring.discarded, ring.overwritten, ring.overwritten_at_most, ring.out_of_order, ring.first_time, ring.last_time, ring.damaged_bytes());
  for (const open_reservation& open : ring.open) {
    if (line.back() != '[') line += ',';
    line += fmt::format(R"({{"position":{},"event":{},"state":"{}","bytes":{})", open.position, quoted(names.name_of(open.type)),
                        name_of_state(open.state), open.length);
    if (open.state == record_state::stamped) {
      line += fmt::format(R"(,"time":{},"age_ns":{})", open.time, age_of(open, report));
    }
    if (open.pid) line += fmt::format(R"(,"pid":{},"tid":{})", *open.pid, *open.tid);
    line += '}';
  }
  line += R"(],"damage":[)";
  for (const damaged_range& range : ring.damage) {
    if (line.back() != '[') line += ',';
    line += fmt::format(R"({{"position":{},"bytes":{},"reason":{}}})", range.position, range.bytes, quoted(range.reason));
  }
  line += R"(],"faults":[)";
  for (const std::string& fault : ring.faults) {
    if (line.back() != '[') line += ',';
    line += quoted(fault);
  }
  return line + "]}";
}

}  // namespace

uint64_t image_report::newest_time() const {
  uint64_t newest = 0;
  for (const ring_report& ring : rings) newest = std::max(newest, ring.last_time);
  return newest;
}

uint64_t image_report::complete() const {
  uint64_t sum = 0;
  for (const ring_report& ring : rings) sum += ring.complete;
  return sum;
}

uint64_t image_report::open() const {
  uint64_t sum = 0;
  for (const ring_report& ring : rings) sum += ring.open.size();
  return sum;
}

uint64_t image_report::damaged_bytes() const {
  uint64_t sum = 0;
  for (const ring_report& ring : rings) sum += ring.damaged_bytes();
  return sum;
}

std::vector<std::string> describe(const image_report& report, const decoder& names) {
  std::vector<std::string> lines;
  lines.push_back(fmt::format("{:<5}{:<7}{:>12}{:>14}{:>11}{:>7}{:>15}", "cpu", "ring", "complete", "taken before", "discarded",
                              "open", "damaged bytes"));
  uint64_t untouched = 0, taken = 0, discarded = 0, overwritten = 0;
  bool at_most = false;
  for (const ring_report& ring : report.rings) {
    taken += ring.taken;
    discarded += ring.discarded;
    overwritten += ring.overwritten;
    at_most |= ring.overwritten_at_most;
    if (ring.untouched()) {
      ++untouched;
      continue;
    }
    lines.push_back(fmt::format("{:<5}{:<7}{:>12}{:>14}{:>11}{:>7}{:>15}", ring.cpu, name_of_lane(ring.lane), ring.complete,
                                ring.taken, ring.discarded, ring.open.size(), ring.damaged_bytes()));
  }
  lines.push_back(fmt::format("{:<12}{:>12}{:>14}{:>11}{:>7}{:>15}", "all", report.complete(), taken, discarded, report.open(),
                              report.damaged_bytes()));
  if (overwritten != 0) {
    lines.push_back(fmt::format("overwritten before the oldest that is there: {}{} records, read or not",
                                at_most ? "at most " : "", overwritten));
  }
  if (untouched != 0) lines.push_back(fmt::format("{} rings hold nothing", untouched));
  constexpr size_t most = 50;
  size_t shown = 0;
  for (const ring_report& ring : report.rings) {
    for (const open_reservation& open : ring.open) {
      if (shown++ < most) lines.push_back(describe_open(ring, open, report, names));
    }
  }
  if (shown > most) lines.push_back(fmt::format("... and {} more that were open", shown - most));
  return lines;
}

std::vector<std::string> describe_damage(const ring_report& ring) {
  std::vector<std::string> lines;
  const std::string where = fmt::format("cpu {}, {} ring", ring.cpu, name_of_lane(ring.lane));
  for (const std::string& fault : ring.faults) lines.push_back(fmt::format("{}: {}", where, fault));
  for (const damaged_range& range : ring.damage) {
    lines.push_back(fmt::format("{}: {} bytes at position {} are damaged: {}", where, range.bytes, range.position, range.reason));
  }
  if (ring.out_of_order != 0) {
    lines.push_back(fmt::format("{}: {} records are older than one before them", where, ring.out_of_order));
  }
  return lines;
}

std::vector<std::string> to_json_lines(const image_report& report, const decoder& names, const stream_clock& clock) {
  const std::optional<uint64_t> newest = report.complete() != 0 ? clock.utc(report.newest_time()) : std::nullopt;
  std::string others;
  for (const uint64_t boot : report.other_boots) others += fmt::format("{}{}", others.empty() ? "" : ",", boot);
  std::vector<std::string> lines = {fmt::format(
      R"({{"type":"image","path":{},"kind":"{}","bytes":{},"boot":{},"boot_time":"{}","other_boots":[{}],"clock_frequency":{},)"
      R"("cpus":{},"rings":{},"rings_expected":{},"own_types":{},"complete":{},"open":{},"damaged_bytes":{},"newest":{}}})",
      quoted(report.path), name_of_kind(report.kind), report.file_bytes, report.boot, iso8601(report.boot), others,
      report.clock_frequency, report.cpu_count, report.rings.size(), uint64_t{report.cpu_count} * lanes_per_cpu, report.own_types,
      report.complete(), report.open(), report.damaged_bytes(), newest ? quoted(iso8601(*newest)) : std::string("null"))};
  for (const ring_report& ring : report.rings) lines.push_back(json_of(ring, report, names));
  return lines;
}

}  // namespace sluice::image
