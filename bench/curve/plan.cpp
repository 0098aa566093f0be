#include "bench/curve/plan.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <random>

#include "bench/curve/contestants.h"
#include "bench/curve/cost.h"
#include "bench/curve/latency.h"
#include "bench/curve/memory.h"
#include "kernel_port/sources/synthetic/load_shape.h"

namespace sluice::bench {
namespace {

constexpr uint64_t kib = 1024, mib = 1024 * 1024;
const std::vector<std::string> transports = {"mapping", "port", "ioctl"};
const std::vector<std::string> in_process = {"sluice", "locked_list", "queued_lock_ring", "lttng_ust"};

struct grid {
  std::vector<double> rates;            // events a second
  std::vector<double> transport_rates;
  std::vector<double> burst_rates;      // on the mean
  std::vector<uint64_t> rings;
  uint64_t length, burst_length;        // nanoseconds
  uint64_t latency_rate, latency_events;
  int cost_turns;
  double picture_rate;                  // of the pictures of drops under gaps
  int running_runs;                     // of each point with a consumer that runs
};

grid grid_for(curve_effort how) {
  grid usual{{1e5, 5e5, 1e6, 2e6, 5e6, 1e7, 2e7, 5e7}, {1e5, 5e5, 1e6, 2e6, 5e6, 1e7}, {1e5, 5e5, 2e6},
             {64 * kib, mib, 16 * mib}, 200'000'000, 400'000'000, 20000, 100'000, 301, 2e6, 3};
  switch (how) {
    case curve_effort::usual: break;
    case curve_effort::full:
      usual.rings = {64 * kib, 256 * kib, mib, 4 * mib, 16 * mib};
      usual.transport_rates = usual.rates;
      usual.burst_length = 2'000'000'000;
      usual.latency_events = 500'000;
      break;
    case curve_effort::quick:
      usual.rates = {1e5, 1e6, 1e7};
      usual.transport_rates = {1e5, 1e6};
      usual.burst_rates = {5e5};
      usual.rings = {64 * kib, mib};
      usual.picture_rate = 1e6;
      usual.latency_events = 20'000;
      usual.cost_turns = 51;
      usual.running_runs = 1;
      break;
    case curve_effort::check:
      usual.rates = usual.transport_rates = {2e6};
      usual.burst_rates = {2e5};
      usual.rings = {64 * kib};
      usual.length = usual.burst_length = 60'000'000;
      usual.latency_events = 500;
      usual.cost_turns = 5;
      usual.running_runs = 1;
      break;
  }
  return usual;
}

// The shapes of recorded activity, by name.
std::vector<load_shape> shapes_of(const std::vector<std::string>& directories) {
  std::vector<load_shape> shapes;
  constexpr size_t least_steps = 20;  // of 100 ms
  for (const std::string& directory : directories) {
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      if (!entry.path().string().ends_with(".jsonl.gz")) continue;
      std::vector<double> levels = synthetic::from_recording(entry.path()).levels;
      if (levels.size() < least_steps) continue;
      const std::string file = entry.path().filename();
      shapes.push_back({file.substr(0, file.find('.')), std::move(levels), entry.path()});
    }
  }
  std::sort(shapes.begin(), shapes.end(), [](const load_shape& a, const load_shape& b) { return a.name < b.name; });
  return shapes;
}

class runner {
 public:
  explicit runner(const plan_options& options) : options_(options), grid_(grid_for(options.how)) {}

  bool run() {
    if (!daemon_.why_not().empty()) {
      fmt::print(stderr, "sluice_curve: without LTTng-UST: {}\n", daemon_.why_not());
    }
    context();
    if (wanted("memory")) part("memory", [&] { memory(); });
    if (wanted("cost")) part("cost", [&] { good_ &= measure_cost(daemon_, grid_.cost_turns); });
    if (wanted("latency")) part("latency", [&] { latency(); });
    if (wanted("curve")) curve(in_process, grid_.rates);
    if (wanted("transports")) curve(transports, grid_.transport_rates);
    if (wanted("bursts")) bursts();
    if (isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\r\033[K");
    end();
    return good_;
  }

 private:
  bool wanted(const char* part) const {
    return options_.only.empty() || std::find(options_.only.begin(), options_.only.end(), part) != options_.only.end();
  }

  template <class action>
  void part(const char* name, action&& measure_it) {
    try {
      measure_it();
    } catch (const std::exception& error) {
      fmt::print(stderr, "sluice_curve: {}: {}\n", name, error.what());
      good_ = false;
    }
  }

  static void progress(const std::string& what) {
    static const bool terminal = isatty(STDERR_FILENO) != 0;
    if (terminal) fmt::print(stderr, "\r\033[K{}", what);
  }

  void context() const {
    const cpu_pair cpus = pick_cpus();
    fmt::print("{{\"kind\": \"context\", \"processors\": {}, \"load\": {:.2f}, \"lttng\": \"{}\"}}\n", cpus.available, load_average(),
               daemon_.why_not().empty() ? "yes" : daemon_.why_not());
  }
  // The generator and a consumer that never rests make 2 of it.
  void end() const { fmt::print("{{\"kind\": \"end\", \"load\": {:.2f}}}\n", load_average()); }
  static double load_average() {
    double minute = 0;
    return ::getloadavg(&minute, 1) == 1 ? minute : 0;
  }

  void measure(const cell& asked) {
    progress(fmt::format("{}, {} KiB, {}, {} at {:.1f} M/s", asked.design, asked.ring_bytes / kib, name_of(asked.consumer),
                         asked.shape->name, asked.rate / 1e6));
    cell_result result;
    if (asked.design == "lttng_ust") {
      if (!daemon_.why_not().empty() || asked.consumer == consumer_kind::slow) return;  // nobody slows its daemon down
      result = measure_lttng(asked, daemon_);
    } else if (std::find(transports.begin(), transports.end(), asked.design) != transports.end()) {
      result = measure_transport(asked);
    } else {
      result = measure_in_process(asked);
    }
    good_ &= report(asked, result);
  }

  void curve(const std::vector<std::string>& designs, const std::vector<double>& rates) {
    const load_shape steady;
    for (const uint64_t ring : grid_.rings) {
      for (const consumer_kind consumer : consumer_kinds) {
        for (const double rate : rates) {
          // What one leaves behind for others to do, such as a trace that is written to disk, meets all of them alike.
          std::vector<std::string> runs;
          for (int i = 0; i < (consumer == consumer_kind::running ? grid_.running_runs : 1); ++i) {
            runs.insert(runs.end(), designs.begin(), designs.end());
          }
          std::shuffle(runs.begin(), runs.end(), order_);
          for (const std::string& design : runs) {
            // The pictures of drops under the gaps.
            const bool timeline = rate == grid_.picture_rate && (ring == mib || options_.how == curve_effort::check) && stalls_of(consumer).length != 0;
            measure({design, ring, consumer, &steady, rate, grid_.length, timeline});
          }
        }
      }
    }
  }

  void bursts() {
    const std::vector<load_shape> shapes = shapes_of(options_.recordings);
    const uint64_t ring = grid_.rings.size() == 1 ? grid_.rings[0] : mib;
    for (const load_shape& shape : shapes) {
      const schedule plan(1e6, grid_.burst_length, shape.levels);
      fmt::print("{{\"kind\": \"shape\", \"name\": \"{}\", \"peak_over_mean\": {:.3f}, \"steps\": {}, \"length\": {}}}\n", shape.name,
                 plan.peak_rate() / 1e6, shape.levels.size(), grid_.burst_length);
      for (const double rate : grid_.burst_rates) {
        for (std::vector<std::string> designs : {in_process, transports}) {
          std::shuffle(designs.begin(), designs.end(), order_);
          for (const std::string& design : designs) measure({design, ring, consumer_kind::running, &shape, rate, grid_.burst_length, false});
        }
      }
    }
  }

  void latency() {
    for (const std::string& transport : transports) {
      progress("latency, " + transport);
      const latency_result result = measure_latency(transport, grid_.latency_rate, grid_.latency_events);
      for (const auto& [from, values] : {std::pair{"callback", &result.from_callback}, {"due", &result.from_due}}) {
        fmt::print("{{\"kind\": \"latency\", \"transport\": \"{}\", \"from\": \"{}\", \"rate\": {}, \"events\": {}, \"p50\": {}, "
                   "\"p90\": {}, \"p99\": {}, \"p99.9\": {}, \"p99.99\": {}, \"max\": {}}}\n",
                   transport, from, grid_.latency_rate, values->count(), values->percentile(0.5), values->percentile(0.9),
                   values->percentile(0.99), values->percentile(0.999), values->percentile(0.9999), values->max());
      }
      std::fflush(stdout);
    }
  }

  void memory() {
    for (const uint64_t ring : grid_.rings) {
      for (const memory_figures& each : measure_memory(ring, daemon_)) {
        fmt::print("{{\"kind\": \"memory\", \"design\": \"{}\", \"ring\": {}, \"bytes\": {}, \"held\": {}}}\n", each.design, ring,
                   each.bytes, each.held);
      }
    }
  }

  const plan_options& options_;
  const grid grid_;
  std::mt19937 order_{1};
  const lttng_daemon daemon_;
  bool good_ = true;
};

}  // namespace

bool run_plan(const plan_options& options) { return runner(options).run(); }

}  // namespace sluice::bench
