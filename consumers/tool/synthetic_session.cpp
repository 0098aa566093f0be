#include "consumers/tool/synthetic_session.h"

#include <fmt/format.h>
#include <unistd.h>

#include "kernel_port/sources/synthetic/load_driver.h"

namespace sluice::tool {
namespace {

synthetic::synthetic_options options_of(const synthetic_choices& choices) {
  synthetic::synthetic_options options;
  options.rate = choices.rate;
  options.mix = choices.mix;
  options.shape = make_rhythm(choices.rhythm);
  options.sizes = choices.sizes;
  options.producers_per_cpu = choices.producers_per_cpu;
  options.dispatch_share = choices.dispatch_share;
  options.seed = choices.seed;
  options.waits_for_room = choices.waits_for_room;
  return options;
}

}  // namespace

synthetic_session::synthetic_session(const watch_options& options)
    : options_(options),
      driver_(options, &SyntheticDriverEntry),
      source_(simulated_system(driver_.machine(), static_cast<uint32_t>(::getpid()))),
      load_(options_of(options.synthetic), driver_.machine()) {}

std::string synthetic_session::title() {
  const synthetic_choices& choices = options_.synthetic;
  const std::string rate = choices.rate == 0 ? "as fast as it goes" : fmt::format("{:g} events/s", choices.rate);
  return fmt::format("synthetic load, {}, {} producers per CPU, through the driver on a simulated NT kernel; {}\nsluice: {}", rate,
                     choices.producers_per_cpu, options_.duration ? "for " + show(options_.duration) : show(options_.duration),
                     driver_.describe(source_.capabilities()));
}

std::optional<raised_callbacks> synthetic_session::raised() {
  raised_callbacks all = driver_.raised();
  const synthetic::synthetic_counts counts = load_.counts();
  // Every own event that was made asked the driver, which wrote it or counted that its type was off.
  all.by_type[synthetic::event_type()] = counts.made[static_cast<size_t>(synthetic::activity_kind::own)];
  return all;
}

std::vector<std::string> synthetic_session::notes() {
  const synthetic::synthetic_counts counts = load_.counts();
  std::string made;
  for (uint32_t i = 0; i < synthetic::activity_kinds; ++i) {
    made += fmt::format("{}{} {}", made.empty() ? "" : ", ", counts.made[i], name_of(static_cast<synthetic::activity_kind>(i)));
  }
  return {fmt::format("made: {}; own events at DISPATCH_LEVEL: {}; refused {}; later than 1 ms: {}", made,
                      counts.at_dispatch_level, counts.refused, counts.late)};
}

}  // namespace sluice::tool
