// Waiting in tests: for conditions, never for times. What does not come in two minutes does not come: the process ends and says
// where it waited, since the test could not go on, and threads that wait for it could not be joined.
#pragma once

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <source_location>
#include <thread>

namespace sluice::test {

template <class condition>
void eventually(condition&& holds, const std::source_location where = std::source_location::current()) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > limit) {
      std::fprintf(stderr, "%s:%u: Failure\nwhat is waited for here has not come in two minutes\n", where.file_name(),
                   static_cast<unsigned>(where.line()));
      std::abort();
    }
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
}

}  // namespace sluice::test
