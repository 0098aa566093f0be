// Reads a stream until its account and the driver's agree that nothing is left.
#pragma once

#include <gtest/gtest.h>

#include <chrono>

#include "consumers/event_stream.h"

namespace sluice::test {

// Until this client has had what is final, or was told of it. Otherwise, when nothing has come for a minute, what is wrong.
inline testing::AssertionResult drain(event_stream& stream, event_source& source) {
  constexpr std::chrono::seconds patience{60};
  auto limit = std::chrono::steady_clock::now() + patience;
  for (;;) {
    source.flush();
    while (stream.next(std::chrono::milliseconds(20)) != nullptr) {
      while (stream.next(std::chrono::milliseconds(0)) != nullptr) {
      }
      limit = std::chrono::steady_clock::now() + patience;
    }
    const driver_statistics driver = source.statistics();
    if (stream.account().drained(driver)) return testing::AssertionSuccess();
    if (std::chrono::steady_clock::now() < limit) continue;
    testing::AssertionResult failed = testing::AssertionFailure() << "nothing comes any more, and";
    for (const std::string& each : stream.account().check(driver, nullptr)) failed << "\n" << each;
    return failed;
  }
}

}  // namespace sluice::test
