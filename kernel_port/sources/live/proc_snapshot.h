// The processes that run, with their threads, as /proc shows them one after another. What comes or goes meanwhile is found
// or not; the records of that time tell. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice::live {

struct snapshot_process {
  int32_t pid = 0;
  int32_t parent_pid = 0;
  bool kernel_thread = false;
  uint64_t started = 0;
  std::optional<std::string> image_path;
  std::optional<std::string> command_line;
  std::vector<int32_t> threads;
};

struct process_snapshot {
  uint64_t begin = 0;  // CLOCK_MONOTONIC
  uint64_t end = 0;
  std::vector<snapshot_process> processes;  // by rising start time, then pid: parents come before their children
};

process_snapshot take_process_snapshot();

}  // namespace sluice::live
