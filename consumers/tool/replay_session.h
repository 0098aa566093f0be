// A recording of another machine, through the driver's own code on the simulated NT kernel.
#pragma once

#include <condition_variable>
#include <mutex>

#include "consumers/device_source.h"
#include "consumers/nt/simulated_system.h"
#include "consumers/tool/command_line.h"
#include "consumers/tool/running_driver.h"
#include "consumers/tool/session.h"
#include "kernel_port/sources/replay/replay_source.h"

namespace sluice::tool {

class replay_session : public session {
 public:
  // Looks the recording through. Throws source_error, replay::replay_error, std::system_error.
  explicit replay_session(const watch_options& options);

  event_source& source() override { return source_; }
  std::string title() override;
  void start() override { replay_.start(); }
  void stop() override;
  std::optional<std::string> failure() override { return replay_.failure(); }
  std::optional<raised_callbacks> raised() override { return driver_.raised(); }
  std::vector<std::string> notes() override;
  bool finished() override { return replay_.finished(); }
  std::string progress() override;
  void received(uint64_t records) override;
  std::vector<std::string> take_faults() override { return replay_.take_faults(); }

 private:
  replay::replay_options replay_options_of(const watch_options& options);
  bool wait_until_read();

  watch_options options_;
  // What the replay and the reader tell each other.
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t received_ = 0;
  bool stopping_ = false;
  // Destroyed from the last to the first.
  running_driver driver_;
  device_source source_;
  replay::replay_source replay_;
};

}  // namespace sluice::tool
