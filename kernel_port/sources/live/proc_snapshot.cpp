#include "kernel_port/sources/live/proc_snapshot.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <system_error>

#include "kernel_port/sources/live/live_error.h"
#include "kernel_port/sources/live/proc_names.h"

namespace sluice::live {
namespace {

// The entries of a directory whose names are numbers. A directory that has gone has none.
std::vector<int32_t> numbers_in(const std::string& directory) {
  std::vector<int32_t> numbers;
  std::error_code error;
  std::filesystem::directory_iterator entry(directory, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    std::string name = entry->path().filename().string();
    int32_t number = 0;
    auto [end, result] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (result == std::errc() && end == name.data() + name.size()) numbers.push_back(number);
  }
  return numbers;
}

}  // namespace

process_snapshot take_process_snapshot() {
  proc_names names;
  process_snapshot snapshot;
  snapshot.begin = names.now();
  std::vector<int32_t> pids = numbers_in("/proc");
  if (pids.empty()) throw live_error(live_error_kind::system, "/proc shows no process: is it mounted?");
  for (int32_t pid : pids) {
    auto stat = read_process_stat(pid);
    if (!stat) continue;
    snapshot_process process;
    process.pid = pid;
    process.parent_pid = stat->parent_pid;
    process.kernel_thread = stat->kernel_thread;
    process.started = stat->started;
    process.image_path = names.read_image_path(pid);
    command_line_read line = names.read_command_line(pid);
    if (line.result == command_line_read::outcome::read) process.command_line = std::move(line.command_line);
    process.threads = numbers_in(fmt::format("/proc/{}/task", pid));
    if (process.threads.empty()) continue;
    snapshot.processes.push_back(std::move(process));
  }
  std::sort(snapshot.processes.begin(), snapshot.processes.end(), [](const auto& a, const auto& b) {
    return std::pair(a.started, a.pid) < std::pair(b.started, b.pid);
  });
  snapshot.end = names.now();
  return snapshot;
}

}  // namespace sluice::live
