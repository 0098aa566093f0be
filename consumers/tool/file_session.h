// A recording, read again.
#pragma once

#include "consumers/recording/file_source.h"
#include "consumers/tool/command_line.h"
#include "consumers/tool/session.h"

namespace sluice::tool {

class file_session : public session {
 public:
  // Throws source_error.
  explicit file_session(const watch_options& options);

  event_source& source() override { return source_; }
  std::string title() override;
  void start() override {}
  void stop() override {}
  std::optional<std::string> failure() override { return std::nullopt; }
  std::optional<raised_callbacks> raised() override;
  std::string progress() override;
  std::vector<std::string> notes() override;
  std::vector<std::string> take_faults() override { return source_.take_faults(); }
  std::optional<std::string> incomparable() override;

 private:
  std::string path_;
  recording::file_source source_;
};

}  // namespace sluice::tool
