// Where the names of running processes come from: /proc (proc_names.h), or a test.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace sluice::live {

struct command_line_read {
  enum class outcome {
    read,
    not_yet,  // there is such a process, and it has no arguments yet (it is inside execve) or none at all
    gone,     // no such process
  };
  outcome result = outcome::gone;
  std::string command_line;  // one line (command_line.h)
  int32_t parent_pid = 0;
  uint64_t started = 0;      // when that process was forked, CLOCK_MONOTONIC, rounded down: never later than it was
};

class name_source {
 public:
  virtual ~name_source() = default;
  virtual command_line_read read_command_line(int32_t pid) = 0;
  virtual std::optional<std::string> read_image_path(int32_t pid) = 0;
  virtual uint64_t now() = 0;  // CLOCK_MONOTONIC, nanoseconds: the clock of the records
};

}  // namespace sluice::live
