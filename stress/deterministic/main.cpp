// sluice_deterministic: see docs/deterministic.md, and --help.
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cinttypes>
#include <fstream>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "stress/deterministic/run.h"
#include "stress/progress.h"
#include "stress/report.h"

namespace {

uint64_t current_seed = 0;
uint64_t left_out_store = 0;
const char* program = "sluice_deterministic";

// Async-signal-safe: a bug check, a sanitizer's report and a crash end here, too.
void say_how_to_repeat() {
  char text[512];
  char left_out[64] = "";
  if (left_out_store != 0) snprintf(left_out, sizeof left_out, " --leave-out-store %" PRIu64, left_out_store);
  const int length = snprintf(text, sizeof text, "\nseed %" PRIu64 "; again, with every switch: %s --seed %" PRIu64 "%s --trace\n",
                              current_seed, program, current_seed, left_out);
  if (length > 0) (void)!write(STDERR_FILENO, text, static_cast<size_t>(length));
}

void on_abort(int signal) {
  say_how_to_repeat();
  ::signal(signal, SIG_DFL);
  raise(signal);
}

// Only one thread runs at a time: on one processor of the host a switch costs a third.
void stay_on_one_processor() {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  (void)sched_setaffinity(0, sizeof one, &one);
}

std::vector<uint64_t> read_seeds(const std::string& path) {
  std::ifstream file(path);
  std::vector<uint64_t> seeds;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    seeds.push_back(std::stoull(line));
  }
  return seeds;
}

}  // namespace

int main(int argc, char** argv) {
  program = argv[0];
  uint64_t from = 1, runs = 1000;
  std::vector<uint64_t> seeds;
  std::string file;
  bool trace = false, fingerprints = false;
  CLI::App app("The whole driver on the simulated NT kernel, with one thread at a time: each run follows from its seed.\n"
               "Exit code 0: all invariants held in every run; 1: wrong use; 2: one was broken; else a bug check (abort).");
  app.add_option("--seed", seeds, "run this seed; may be given again");
  app.add_option("--seeds", file, "run the seeds of this file first, one a line")->check(CLI::ExistingFile);
  app.add_option("--runs", runs, "how many seeds")->capture_default_str();
  app.add_option("--from", from, "the first of them")->capture_default_str();
  app.add_flag("--trace", trace, "print every switch: number, points passed, the machine's time, from thread, to thread, where");
  app.add_option("--leave-out-store", left_out_store, "a fault made by hand: the driver's n-th releasing store is not made");
  app.add_flag("--fingerprints", fingerprints, "print seed and fingerprint of every run");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 1;
  }
  if (!file.empty()) {
    for (const uint64_t seed : read_seeds(file)) seeds.push_back(seed);
  }
  const bool only_named = !seeds.empty() && app.count("--runs") == 0 && app.count("--from") == 0;
  const uint64_t all = seeds.size() + (only_named ? 0 : runs);

  stay_on_one_processor();
  signal(SIGABRT, on_abort);
  sluice::stress::set_dump([](uint32_t) { say_how_to_repeat(); });
  sluice::stress::progress shown("runs");
  uint64_t switches = 0, points = 0, records = 0;
  for (uint64_t i = 0; i < all; ++i) {
    current_seed = i < seeds.size() ? seeds[i] : from + (i - seeds.size());
    const sluice::stress::run_result result = sluice::stress::run_deterministic(current_seed, trace, left_out_store);
    if (fingerprints) fmt::print("{} {:016x}\n", current_seed, result.fingerprint);
    switches += result.switches;
    points += result.points;
    records += result.records;
    shown.show(i + 1, all);
  }
  shown.clear();
  if (!fingerprints) {
    fmt::print("{} runs: {} switches of {} points, {} records read; all invariants held (simulated kernel)\n", all, switches, points, records);
  }
}
