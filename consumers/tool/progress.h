// One line on stderr that is written over, twice a second at most, and only if stderr is a terminal. One
// thread.
#pragma once

#include <chrono>
#include <string>

namespace sluice::tool {

class progress {
 public:
  explicit progress(int descriptor);
  ~progress() { clear(); }
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;

  // True: it is time for a new line.
  bool due() const;
  void show(const std::string& line);
  void clear();

 private:
  int descriptor_;
  bool terminal_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace sluice::tool
