// sluice_stress: see stress/options.h, docs/stress.md, and --help.
#include <fmt/core.h>

#include "stress/channel_run.h"
#include "stress/driver_run.h"
#include "stress/torture_run.h"

int main(int argc, char** argv) {
  sluice::stress::stress_options options;
  int exit_code = 0;
  if (!sluice::stress::parse_options(argc, argv, options, exit_code)) return exit_code;
  switch (options.target) {
    case sluice::stress::target_kind::channel: sluice::stress::run_on_channel(options); break;
    case sluice::stress::target_kind::driver: sluice::stress::run_on_driver(options); break;
    case sluice::stress::target_kind::torture: sluice::stress::run_torture(options); break;
  }
  fmt::print("all invariants held\n");  // a broken one has ended the process
}
