// What a watch runs on: a source of events, and the activity that makes the driver produce them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "consumers/event_source.h"

namespace sluice::tool {

class session {
 public:
  virtual ~session() = default;

  virtual event_source& source() = 0;
  // One line about what is watched, for stderr.
  virtual std::string title() = 0;
  // Activity begins. Throws what its source throws.
  virtual void start() = 0;
  // No callback is raised after this returns. May be called more than once.
  virtual void stop() = 0;
  // Why the activity ended by itself, if it did. What was raised until then is still read and accounted.
  virtual std::optional<std::string> failure() = 0;
  // The callbacks that the kernel raised, counted by the kernel; none: nobody counts them.
  virtual std::optional<raised_callbacks> raised() = 0;
  // Lines for the summary, after stop().
  virtual std::vector<std::string> notes() = 0;
};

}  // namespace sluice::tool
