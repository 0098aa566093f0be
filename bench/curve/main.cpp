// sluice_curve: drop rate against offered load, latency, memory and cost, beside what others do. docs/benchmarks.md
//
//   sluice_curve [--quick | --full | --check] [--only PART ...] [--recordings DIRECTORY ...]
//                [--output FILE]
//
// One line of JSON for each point, on stdout or in FILE. Exit code: 0; 1: a drop that no gap of the consumer explains, or that is not announced, or a
// run that failed; 2: wrong arguments.
#include <fmt/format.h>

#include <cstdio>

#include <CLI/CLI.hpp>

#include "bench/curve/plan.h"

int main(int count, char** arguments) {
  using namespace sluice::bench;
  lttng_daemon::prepare(arguments);
  CLI::App app("Drop rate against offered load, latency, memory and cost, beside what others do.");
  bool quick = false, full = false, check = false;
  plan_options options;
  auto* const effort_group = app.add_option_group("effort")->require_option(0, 1);
  effort_group->add_flag("--quick", quick, "fewer points, shorter");
  effort_group->add_flag("--full", full, "every point: ten minutes and more");
  effort_group->add_flag("--check", check, "that everything runs, and every drop is explained");
  app.add_option("--only", options.only, "parts: curve, bursts, transports, latency, cost, memory")->delimiter(',')
      ->check(CLI::IsMember({"curve", "bursts", "transports", "latency", "cost", "memory"}));
  app.add_option("--recordings", options.recordings, "directories with recorded activity (*.jsonl.gz), for its bursts");
  std::string output;
  app.add_option("--output", output, "a file instead of stdout");
  try {
    app.parse(count, arguments);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (!output.empty() && std::freopen(output.c_str(), "w", stdout) == nullptr) {
    fmt::print(stderr, "sluice_curve: {} cannot be written\n", output);
    return 1;
  }
  options.how = check ? curve_effort::check : quick ? curve_effort::quick : full ? curve_effort::full : curve_effort::usual;
  try {
    return run_plan(options) ? 0 : 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "sluice_curve: {}\n", error.what());
    return 1;
  }
}
