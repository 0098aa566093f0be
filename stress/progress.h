// A line on stderr that tells how far a run has come; nothing unless stderr is a terminal.
#pragma once

#include <fmt/core.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>

namespace sluice::stress {

class progress {
 public:
  explicit progress(const char* what) : what_(what), on_(isatty(STDERR_FILENO) == 1) {}
  void show(uint64_t done, uint64_t all) {
    const auto now = std::chrono::steady_clock::now();
    if (!on_ || now < next_) return;
    next_ = now + std::chrono::milliseconds(200);
    fmt::print(stderr, "\r{} of {} {}  ", done, all, what_);
    std::fflush(stderr);
  }
  void clear() {
    if (on_) fmt::print(stderr, "\r\033[K");
  }

 private:
  const char* what_;
  bool on_;
  std::chrono::steady_clock::time_point next_{};
};

}  // namespace sluice::stress
