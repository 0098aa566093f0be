// This Linux machine's activity, through the driver's own code on the simulated NT kernel.
#pragma once

#include "consumers/device_source.h"
#include "consumers/nt/simulated_system.h"
#include "consumers/tool/command_line.h"
#include "consumers/tool/running_driver.h"
#include "consumers/tool/session.h"
#include "kernel_port/sources/live/live_source.h"

namespace sluice::tool {

class live_session : public session {
 public:
  // Throws source_error, std::system_error. The live source itself opens in start(), which throws
  // live::live_error.
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
  // Destroyed from the last to the first.
  running_driver driver_;
  device_source source_;
  live::live_source live_;
  std::optional<std::string> failure_;
};

}  // namespace sluice::tool
