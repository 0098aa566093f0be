// The rings of a machine that has died, read out of an image.
#pragma once

#include "consumers/image/image_source.h"
#include "consumers/tool/command_line.h"
#include "consumers/tool/session.h"

namespace sluice::tool {

// What `watch` and `stats` ask of an image; shows how far the search has come.
image::image_options image_options_of(const image_choices& choices);

// "a core file of 12 MiB; boot 2026-...: 4 CPUs, 8 rings of 8, 1 own types".
std::string describe(const image::image_report& report);

class image_session : public session {
 public:
  // Throws source_error.
  explicit image_session(const watch_options& options);

  event_source& source() override { return source_; }
  std::string title() override;
  void start() override {}
  void stop() override {}
  std::optional<std::string> failure() override { return std::nullopt; }
  std::optional<raised_callbacks> raised() override { return std::nullopt; }
  std::vector<std::string> notes() override;
  std::vector<std::string> take_faults() override { return source_.take_faults(); }
  std::optional<std::string> incomparable() override { return "the driver that wrote these rings is gone"; }

 private:
  image::image_source source_;
};

}  // namespace sluice::tool
