// The summary at the end of a run: text for people, about every event that was attempted and where it went.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "consumers/event_stream.h"

namespace sluice {

struct summary_input {
  const event_stream& stream;
  const driver_statistics& driver;
  const std::vector<std::string>& broken;  // accounting::check and whatever else the caller found
  std::chrono::nanoseconds duration;       // while events were produced
  std::optional<std::string> incomparable = {};  // why the driver's figures were not compared with what came
};

std::string summarize(const summary_input& input);

}  // namespace sluice
