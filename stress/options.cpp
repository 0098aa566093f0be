#include "stress/options.h"

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <string>

#include "pipeline/region.h"

namespace sluice::stress {
namespace {

void complete(stress_options& options) {
  if (options.critical_bytes == 0) options.critical_bytes = options.ring_bytes / 8;
  if (options.max_record == 0) {
    const uint32_t quarter = options.ring_bytes / 4;
    options.max_record = quarter < max_loss_record ? max_loss_record : quarter < 4096 ? quarter : 4096;
  }
  options.quiet_events = std::min(options.quiet_events, options.events / 4 + 1);
}

// A message, or null.
const char* contradiction(const stress_options& options) {
  const ring_geometry main{options.ring_bytes, options.max_record, options.critical_bytes};
  if (const region_status status = check_geometry(main); status != region_status::ok) return name_of(status);
  const uint32_t longest = options.spare_bytes / 4 > max_loss_record ? options.spare_bytes / 4 : max_loss_record;
  if (const region_status status = check_geometry({options.spare_bytes, longest & ~7u, 0}); status != region_status::ok) {
    return name_of(status);
  }
  if (options.mode == ring_mode::overwrite && options.target != target_kind::driver) {
    return "--mode overwrite needs --target driver (torture has both modes by itself)";
  }
  if (options.start_position % record_alignment != 0) return "--start-position is not a multiple of 8";
  return nullptr;
}

}  // namespace

bool parse_options(int argc, char** argv, stress_options& options, int& exit_code) {
  CLI::App app{
      "Many producers write through Sluice on the simulated NT kernel, and every event is checked.\n"
      "Exit code: 0 all invariants held, 1 wrong use, 2 an invariant was broken."};
  app.name("sluice_stress");

  const std::map<std::string, order_kind> orders{{"exact", order_kind::exact}, {"slack", order_kind::slack}};
  const std::map<std::string, target_kind> targets{{"channel", target_kind::channel}, {"driver", target_kind::driver}, {"torture", target_kind::torture}};
  app.add_option("--target", options.target, "channel (rings and merge), driver (read through its device) or torture (everything changes all the time)")
      ->transform(CLI::CheckedTransformer(targets, CLI::ignore_case));
  app.add_option("--order", options.order, "exact or slack")
      ->transform(CLI::CheckedTransformer(orders, CLI::ignore_case));
  const std::map<std::string, ring_mode> modes{{"discard", ring_mode::discard}, {"overwrite", ring_mode::overwrite}};
  app.add_option("--mode", options.mode, "discard or overwrite (with --target driver): what a full ring does")
      ->transform(CLI::CheckedTransformer(modes, CLI::ignore_case));
  app.add_option("--events", options.events, "attempts, over all producers")
      ->transform(CLI::AsNumberWithUnit(std::map<std::string, uint64_t>{{"k", 1000}, {"m", 1000000}, {"g", 1000000000}}))
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "ends the run even if --events is not reached; 0: no limit")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--cpus", options.cpus, "virtual CPUs")->check(CLI::Range(1, 256))->capture_default_str();
  app.add_option("--producers", options.producers, "threads per virtual CPU")->check(CLI::Range(1, 64))->capture_default_str();
  app.add_option("--ring-size", options.ring_bytes, "bytes per CPU, a power of two; units KiB, MiB")
      ->transform(CLI::AsSizeValue(false))
      ->capture_default_str();
  app.add_option("--spare-size", options.spare_bytes, "bytes of each spare ring")->transform(CLI::AsSizeValue(false));
  app.add_option("--critical-bytes", options.critical_bytes, "part of the ring for critical types; 0: an eighth")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--max-record", options.max_record, "longest record; 0: what the ring allows, at most 4 KiB");
  app.add_option("--start-position", options.start_position, "of every ring; near 2^32 by default, so that it wraps");
  app.add_option("--seed", options.seed, "of every random choice")->capture_default_str();
  app.add_option("--margin", options.margin_microseconds, "slack order: margin, microseconds");
  app.add_option("--set-aside", options.set_aside_milliseconds,
                 "milliseconds after which an open record no longer holds the stream back; 0: never");
  app.add_option("--watchdog", options.watchdog_milliseconds,
                 "milliseconds the consumer sleeps before it looks for a lost wake-up")->check(CLI::PositiveNumber);
  app.add_option("--quiet-every", options.quiet_events, "attempts between two audits at rest")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();

  const auto ingredient = [&app](const char* name, bool& on, const char* what) {
    app.add_flag(fmt::format("--{0},!--no-{0}", name), on, what)->group("Ingredients (on; --no-NAME switches off)");
  };
  ingredient("perturb", options.perturb, "the simulated kernel yields and delays by the seed");
  ingredient("preempt", options.preempt, "producers yield and sleep between reserve and commit");
  ingredient("migrate", options.migrate, "threads move between virtual CPUs");
  ingredient("nested", options.nested, "reservations inside reservations, closed in any order");
  ingredient("dpcs", options.dpcs, "DPC writers over open reservations");
  ingredient("hand-over", options.hand_over, "records are closed by other threads");
  ingredient("discards", options.discards, "records are discarded");
  ingredient("suspend", options.suspend, "threads are suspended at random moments");
  ingredient("hoarder", options.hoarder, "a producer keeps reservations open for long");
  ingredient("stalls", options.stalls, "the consumer stops for a while");
  ingredient("critical", options.critical, "critical types beside ordinary ones");
  ingredient("sizes", options.sizes, "payloads of every length, too long ones included");
  ingredient("switching", options.switching, "types are switched off and on");
  ingredient("statistics", options.statistics, "the account is checked while everything runs");
  ingredient("refusals", options.refusals, "the sink refuses records now and then");
  ingredient("duets", options.duets, "one writer against a consumer about to sleep");
  ingredient("back-off", options.back_off, "a producer that found no room lets the consumer run");
  ingredient("hostile", options.hostile, "at the end the consumer's word is forged");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    exit_code = app.exit(error) == 0 ? 0 : 1;
    return false;
  }
  complete(options);
  if (const char* what = contradiction(options)) {
    fmt::print(stderr, "sluice_stress: {}\n", what);
    exit_code = 1;
    return false;
  }
  return true;
}

}  // namespace sluice::stress
