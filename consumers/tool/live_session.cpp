#include "consumers/tool/live_session.h"

#include <fmt/format.h>
#include <unistd.h>

extern "C" NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path);

namespace sluice::tool {
live_session::live_session(const watch_options& options)
    : options_(options),
      driver_(options, &DriverEntry),
      source_(simulated_system(driver_.machine(), static_cast<uint32_t>(::getpid()))),
      live_(live::live_options{}, driver_.machine()) {}

std::string live_session::title() {
  return fmt::format(
      "this Linux machine's events, through the driver on a simulated NT kernel; {}\nsluice: {}",
      options_.duration ? "for " + show(options_.duration) : show(options_.duration),
      driver_.describe(source_.capabilities()));
}

void live_session::start() {
  live_.start();
}

void live_session::stop() {
  try {
    live_.stop();
  } catch (const live::live_error& error) {
    failure_ = error.what();
  }
}

std::optional<std::string> live_session::failure() {
  return failure_ ? failure_ : live_.failure();
}

std::optional<raised_callbacks> live_session::raised() {
  return driver_.raised();
}

std::vector<std::string> live_session::notes() {
  std::vector<std::string> lines = live_.statistics().summary();
  lines.push_back("Linux has no registry: there are no registry events");
  return lines;
}

}  // namespace sluice::tool
