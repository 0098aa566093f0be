#include "consumers/tool/replay_session.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <memory>

#include "consumers/tool/progress.h"

extern "C" NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path);

namespace sluice::tool {
namespace {

uint64_t percent(const replay::reading_progress& progress) {
  return progress.of_bytes == 0 ? 100 : progress.bytes * 100 / progress.of_bytes;
}

}  // namespace

replay_session::replay_session(const watch_options& options)
    : options_(options),
      driver_(options, &DriverEntry),
      source_(simulated_system(driver_.machine(), static_cast<uint32_t>(::getpid()))),
      replay_(replay_options_of(options), driver_.machine()) {}

replay::replay_options replay_session::replay_options_of(const watch_options& options) {
  replay::replay_options replay;
  replay.path = options.source.path;
  replay.speed = options.speed;
  if (options.speed == 0 && options.back_pressure) {
    replay.wait_until_read = [this] { return wait_until_read(); };
    replay.burst_bytes = options.ring_bytes / 2;
  }
  replay.watch = [shown = std::make_shared<tool::progress>(2)](const replay::reading_progress& progress) {
    if (shown->due()) shown->show(fmt::format("looking the recording through ({} of 2): {} %", progress.pass, percent(progress)));
    return true;
  };
  return replay;
}

std::string replay_session::title() {
  const std::string speed = options_.speed == 0 ? "as fast as it goes" : fmt::format("{:g} times the recorded speed", options_.speed);
  return fmt::format("{}, {}, through the driver on a simulated NT kernel\nsluice: {}", options_.source.path, speed,
                     driver_.describe(source_.capabilities()));
}

void replay_session::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  replay_.stop();
}

void replay_session::received(uint64_t records) {
  {
    std::lock_guard lock(mutex_);
    received_ = records;
  }
  changed_.notify_all();
}

// No event is being raised: what is committed now is all there is.
bool replay_session::wait_until_read() {
  uint64_t committed = 0;
  for (const protocol::statistics_row& row : source_.statistics().rows) committed += row.account.committed;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stopping_ || received_ >= committed; });
  return !stopping_;
}

std::string replay_session::progress() {
  const replay::replay_counts counts = replay_.counts();
  return fmt::format("{} % of the recording", percent(counts.progress));
}

std::vector<std::string> replay_session::notes() {
  const replay::replay_counts counts = replay_.counts();
  std::vector<std::string> raised;
  for (uint32_t i = 0; i < replay::event_kinds; ++i) {
    if (counts.raised[i] != 0) {
      raised.push_back(fmt::format("{} {}", counts.raised[i], replay::name_of(static_cast<replay::event_kind>(i))));
    }
  }
  std::vector<std::string> lines = {
      fmt::format("recording: {} events of {} hosts ({}), {} lines that are none", counts.repair.lines, counts.hosts.size(),
                  fmt::join(counts.hosts, ", "), counts.repair.bad_lines),
      fmt::format("raised: {}; refused {}", raised.empty() ? "nothing" : fmt::format("{}", fmt::join(raised, ", ")), counts.refused),
      fmt::format("repaired: {} events moved to where they belong, {} jumps back in time; {} processes of {} not known before they "
                  "mattered, {} ids used again without an exit, {} restarts of a host",
                  counts.repair.moved, counts.repair.jumps_back, counts.plan.unknown_processes, counts.repair.processes,
                  counts.plan.ids_used_again, counts.plan.restarts),
      fmt::format("processes moved to another CPU: {} times", counts.plan.migrations)};
  if (counts.cut_pauses != 0) lines.push_back(fmt::format("pauses longer than ten minutes that were cut to that: {}", counts.cut_pauses));
  if (counts.pauses_for_reader != 0) lines.push_back(fmt::format("waited for the reader: {} times", counts.pauses_for_reader));
  return lines;
}

}  // namespace sluice::tool
