#include "kernel_port/sources/live/statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <numeric>

namespace sluice::live {

void source_statistics::add_delay(uint64_t nanoseconds) {
  ++delays[std::min<size_t>(std::bit_width(nanoseconds / 1000), delay_buckets - 1)];
  longest_delay = std::max(longest_delay, nanoseconds);
}

uint64_t source_statistics::delay_below(double share) const {
  uint64_t all = std::accumulate(delays.begin(), delays.end(), uint64_t{0});
  uint64_t wanted = static_cast<uint64_t>(static_cast<double>(all) * share);
  uint64_t seen = 0;
  for (size_t i = 0; i < delay_buckets; ++i) {
    seen += delays[i];
    if (seen >= wanted && seen > 0) return uint64_t{1} << i;
  }
  return 0;
}

std::vector<std::string> source_statistics::summary() const {
  std::vector<std::string> lines;
  lines.push_back(fmt::format(
      "linux: {} CPUs; records read: {} fork, {} exit, {} comm, {} mmap2, {} other; lost by the Linux kernel: {}", cpus,
      of(record_kind::fork), of(record_kind::exit), of(record_kind::name), of(record_kind::mapping),
      of(record_kind::throttle) + of(record_kind::unknown), lost));
  lines.push_back(fmt::format(
      "raised: {} process_create, {} process_exit, {} thread_create, {} thread_exit, {} image_load; refused {}; known "
      "before: {} processes, {} threads",
      process_creates, process_exits, thread_creates, thread_exits, image_loads, refused, existing_processes,
      existing_threads));
  lines.push_back(fmt::format(
      "command lines: {} read, {} gone before they could be read, {} the parent's (fork without exec); images without a "
      "path: {}",
      command_lines_read, command_lines_gone, command_lines_inherited, image_paths_missing));
  lines.push_back(fmt::format(
      "linux is not NT: {} forks without exec ({} after waiting), {} programs replaced by exec in a running process, {} "
      "processes first seen at their exec",
      forks_without_exec, forks_timed_out, replaced_programs, found_by_exec));
  lines.push_back(fmt::format(
      "left out: {} mappings without a file, {} tasks of other namespaces, {} records of unknown tasks, {} covered by the "
      "snapshot, {} after the stop",
      anonymous_mappings, outside_namespace, unknown_tasks, before_start, after_stop));
  lines.push_back(fmt::format(
      "delay from the Linux record to the callback: half below {} us, 99% below {} us, longest {} us; longest queue {}; "
      "unrelated records out of order: {}",
      delay_below(0.5), delay_below(0.99), longest_delay / 1000, longest_queue, out_of_order));
  if (reconciliations > 0)
    lines.push_back(fmt::format("after losses: {} comparisons with /proc found {} creates and exits", reconciliations,
                                reconciled));
  lines.push_back("perf gives no exit status: every process_exit carries 0");
  return lines;
}

}  // namespace sluice::live
