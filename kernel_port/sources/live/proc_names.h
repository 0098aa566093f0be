// /proc as the source of names. No process is opened or stopped; an empty answer is no error: processes go away.
// One thread.
#pragma once

#include <optional>
#include <string>

#include "kernel_port/sources/live/name_source.h"

namespace sluice::live {

// What /proc/PID/stat tells. None if there is no such process.
struct process_stat {
  std::string name;
  int32_t parent_pid = 0;
  bool kernel_thread = false;
  uint64_t started = 0;  // CLOCK_MONOTONIC, nanoseconds, rounded down to the kernel's 10 ms
};
std::optional<process_stat> read_process_stat(int32_t pid);
std::optional<process_stat> parse_process_stat(const std::string& line, uint64_t ticks_per_second,
                                               int64_t boottime_ahead);

class proc_names : public name_source {
 public:
  command_line_read read_command_line(int32_t pid) override;
  std::optional<std::string> read_image_path(int32_t pid) override;
  uint64_t now() override;
};

}  // namespace sluice::live
