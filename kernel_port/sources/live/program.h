// What a process runs. Shared by a process and those it forks: a fork runs its parent's program until it calls exec.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace sluice::live {

struct program {
  enum class naming {
    wanted,  // the command line could not be read yet
    read,
    gone,    // it cannot be had any more
    none,    // nobody asks: a kernel thread, or a program from the snapshot
  };
  int32_t pid = 0;         // who called exec
  int32_t parent_pid = 0;  // as /proc shows it, where its command line was asked for; 0: not known
  uint64_t exec_time = 0;  // CLOCK_MONOTONIC
  bool image_known = false;  // image_path is final, with a path or without
  std::optional<std::string> image_path;
  std::optional<std::string> command_line;
  naming command_line_state = naming::none;
  uint64_t read_at = 0;    // when the last attempt to read the command line had ended
};

}  // namespace sluice::live
