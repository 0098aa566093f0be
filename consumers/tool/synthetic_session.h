// Synthetic load, through the sensor of the real driver on the simulated NT kernel.
#pragma once

#include "consumers/device_source.h"
#include "consumers/nt/simulated_system.h"
#include "consumers/tool/command_line.h"
#include "consumers/tool/running_driver.h"
#include "consumers/tool/session.h"
#include "kernel_port/sources/synthetic/synthetic_source.h"

namespace sluice::tool {

class synthetic_session : public session {
 public:
  // Throws source_error, std::invalid_argument, and what a recording throws that a rhythm is taken from.
  explicit synthetic_session(const watch_options& options);

  event_source& source() override { return source_; }
  std::string title() override;
  void start() override { load_.start(); }
  void stop() override { load_.stop(); }
  std::optional<std::string> failure() override { return std::nullopt; }
  std::optional<raised_callbacks> raised() override;
  std::vector<std::string> notes() override;

 private:
  watch_options options_;
  // Destroyed from the last to the first.
  running_driver driver_;
  device_source source_;
  synthetic::synthetic_source load_;
};

}  // namespace sluice::tool
