// This Linux machine's activity, through the driver's own code on the simulated NT kernel.
#pragma once

#include <memory>

#include "consumers/device_source.h"
#include "consumers/tool/command_line.h"
#include "consumers/tool/session.h"
#include "kernel_port/sources/live/live_source.h"

namespace sluice::tool {

// A machine with the driver loaded. Unloads and destroys in the right order; leaks of the driver are bug checks.
class running_driver {
 public:
  running_driver(const running_driver&) = delete;
  running_driver& operator=(const running_driver&) = delete;
  ~running_driver();

  sim::machine& machine() { return machine_; }

 private:
  friend std::unique_ptr<running_driver> start_driver(uint32_t processors, uint32_t ring_bytes);
  explicit running_driver(const sim::machine_options& options) : machine_(options) {}

  sim::machine machine_;
  bool loaded_ = false;
};

// The one place where the driver's options are set: as values of its service's Parameters key. Throws source_error if
// the driver does not load.
std::unique_ptr<running_driver> start_driver(uint32_t processors, uint32_t ring_bytes);

class live_session : public session {
 public:
  // Throws source_error, std::system_error. The live source itself opens in start(), which throws live::live_error.
  explicit live_session(const watch_options& options);

  event_source& source() override { return source_; }
  std::string title() override;
  void start() override;
  void stop() override;
  std::optional<std::string> failure() override;
  std::optional<raised_callbacks> raised() override;
  std::vector<std::string> notes() override;

 private:
  watch_options options_;
  uint32_t processors_;
  // Destroyed from the last to the first.
  std::unique_ptr<running_driver> driver_;
  device_source source_;
  live::live_source live_;
  std::optional<std::string> failure_;
};

}  // namespace sluice::tool
