// sluice_bench: figures are ratios. Compare each with the floor and the peers of the same run on the same machine.
//
//   sluice_bench [--quick | --check] [--json FILE] [--benchmark_filter=REGEX ...]
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "bench/suite.h"
#include "bench/support.h"
#include "bench/transport/load_process.h"
#include "bench/two_cpus.h"

namespace sluice::bench {
namespace {

uint64_t declared = 0;
uint64_t repetitions = 1;
uint64_t done = 0;

// On a terminal, one line; nothing into a pipe or file.
void show_progress(const std::string& name) {
  static const bool terminal = isatty(STDERR_FILENO) != 0;
  ++done;
  if (terminal) std::fprintf(stderr, "\r\033[K[%lu of up to %lu] %s", done, declared * repetitions, name.c_str());
}

// Processor time in seconds: what this process and its children used, and what everybody on this machine did.
double used_here() {
  rusage used{};
  double seconds = 0;
  for (const auto whose : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    getrusage(whose, &used);
    seconds += static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
               1e-6 * static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
  }
  return seconds + load_processor_seconds();
}
double used_by_all() {
  std::ifstream file("/proc/stat");
  std::string label;
  double user = 0, nice = 0, system = 0, idle = 0, waiting = 0, interrupts = 0, soft = 0, stolen = 0;
  file >> label >> user >> nice >> system >> idle >> waiting >> interrupts >> soft >> stolen;
  return (user + nice + system + interrupts + soft + stolen) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// Around each repetition: what others took of the processors meanwhile, in seconds, and what there was of them. The
// kernel counts in ticks of 10 ms, so only sums over many repetitions mean anything.
class witness {
 public:
  witness() : here_(used_here()), all_(used_by_all()), begin_(monotonic_nanoseconds()) {}
  void testify(benchmark::State& state) const {
    const double lasted = 1e-9 * static_cast<double>(monotonic_nanoseconds() - begin_);
    state.counters["others_took"] = (used_by_all() - all_) - (used_here() - here_);
    state.counters["processors_had"] = lasted * static_cast<double>(sysconf(_SC_NPROCESSORS_ONLN));
  }

 private:
  double here_;
  double all_;
  uint64_t begin_;
};

// Says nothing: the figures go to the file. Remembers failures.
class silent_reporter : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>&) override {}
};

// What the shown reporter shows, and whether anything failed.
template <class base>
class watching : public base {
 public:
  void ReportRuns(const std::vector<benchmark::BenchmarkReporter::Run>& runs) override {
    for (const auto& run : runs) {
      if (!run.error_occurred) continue;
      failed = true;
      std::fprintf(stderr, "\nsluice_bench: %s: %s\n", run.benchmark_name().c_str(), run.error_message.c_str());
    }
    base::ReportRuns(runs);
  }
  bool failed = false;
};

std::string line_of(const char* path, const char* key = "") {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const size_t colon = *key == '\0' ? std::string::npos : line.find(':');
    return colon == std::string::npos ? line : line.substr(colon + 2);
  }
  return "unknown";
}

void describe_machine() {
  utsname system{};
  uname(&system);
  benchmark::AddCustomContext("processor", line_of("/proc/cpuinfo", "model name"));
  benchmark::AddCustomContext("virtual machine",
                              line_of("/proc/cpuinfo", "flags").find(" hypervisor") != std::string::npos ? "yes" : "no");
  benchmark::AddCustomContext("kernel", std::string(system.sysname) + " " + system.release + " " + system.machine);
  benchmark::AddCustomContext("compiler", "g++ " __VERSION__);
  benchmark::AddCustomContext("frequency governor",
                              line_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"));
  benchmark::AddCustomContext("clock source", line_of("/sys/devices/system/clocksource/clocksource0/current_clocksource"));
  char text[128];
  std::snprintf(text, sizeof text, "%.6f", counter_ticks_per_nanosecond());
  benchmark::AddCustomContext("counter ticks per ns", text);
  std::snprintf(text, sizeof text, "%.3g", static_cast<double>(counter_step()) / counter_ticks_per_nanosecond());
  benchmark::AddCustomContext("counter step, ns", text);
  const cpu_pair cpus = pick_cpus();
  std::snprintf(text, sizeof text, "producer on CPU %d, consumer on CPU %d of %d", cpus.first, cpus.second, cpus.available);
  benchmark::AddCustomContext("pinning", text);
#ifdef NDEBUG
  benchmark::AddCustomContext("asserts", "off");
#else
  benchmark::AddCustomContext("asserts", "on: these figures mean nothing");
#endif
}

int usage() {
  std::fputs("usage: sluice_bench [--quick | --check] [--json FILE] [--benchmark_filter=REGEX ...]\n", stderr);
  return 1;
}

int run(int count, char** given) {
  settings with;
  std::vector<std::string> arguments{given[0], "--benchmark_enable_random_interleaving=true"};
  std::string repeat;
  bool to_file = false;
  for (int i = 1; i < count; ++i) {
    const std::string argument = given[i];
    if (argument == "--quick") {
      with.how = effort::quick;
    } else if (argument == "--check") {
      with.how = effort::check;
    } else if (argument == "--json" && i + 1 < count) {
      to_file = true;
      arguments.push_back(std::string("--benchmark_out=") + given[++i]);
      arguments.push_back("--benchmark_out_format=json");
    } else if (argument.starts_with("--benchmark_repetitions=")) {
      repeat = argument.substr(argument.find('=') + 1);
    } else if (argument.starts_with("--benchmark_")) {
      arguments.push_back(argument);
    } else {
      return usage();
    }
  }
  if (repeat.empty()) repeat = with.how == effort::full ? "31" : with.how == effort::quick ? "9" : "1";
  repetitions = std::strtoull(repeat.c_str(), nullptr, 10);
  if (repetitions == 0) return usage();
  arguments.push_back("--benchmark_repetitions=" + repeat);

  std::vector<char*> passed;
  for (std::string& argument : arguments) passed.push_back(argument.data());
  int passed_count = static_cast<int>(passed.size());
  benchmark::Initialize(&passed_count, passed.data());
  if (benchmark::ReportUnrecognizedArguments(passed_count, passed.data())) return 1;

  describe_machine();
  benchmark::AddCustomContext("effort", with.how == effort::full ? "full" : with.how == effort::quick ? "quick" : "check");
  add_write(with);
  add_instructions(with);
  add_callback(with);
  add_filter(with);
  add_limits(with);
  add_handover(with);
  add_parallel(with);
  add_merge(with);
  add_tail(with);
  add_transport(with);

  watching<silent_reporter> silent;
  watching<benchmark::ConsoleReporter> console;
  if (to_file) {
    benchmark::RunSpecifiedBenchmarks(&silent);
  } else {
    benchmark::RunSpecifiedBenchmarks(&console);
  }
  benchmark::Shutdown();
  if (isatty(STDERR_FILENO) != 0) std::fputs("\r\033[K", stderr);
  return silent.failed || console.failed ? 1 : 0;
}

}  // namespace

namespace {

benchmark::internal::Benchmark* declare(const std::string& name, uint64_t iterations,
                                        std::function<void(benchmark::State&)> body) {
  ++declared;
  return benchmark::RegisterBenchmark(name.c_str(),
                                      [name, body = std::move(body)](benchmark::State& state) {
                                        show_progress(name);
                                        pin_to(pick_cpus().first);
                                        const witness of_others;
                                        body(state);
                                        of_others.testify(state);
                                      })
      ->Iterations(static_cast<benchmark::IterationCount>(iterations))
      ->UseRealTime();
}

std::function<void(benchmark::State&)> once(std::function<void(benchmark::State&)> body) {
  return [body = std::move(body)](benchmark::State& state) {
    for (auto _ : state) body(state);
  };
}

}  // namespace

void add(const std::string& name, uint64_t iterations, std::function<void(benchmark::State&)> body) {
  declare(name, iterations, std::move(body));
}
void add_measured(const std::string& name, std::function<void(benchmark::State&)> body) {
  declare(name, 1, once(std::move(body)));
}
void add_on_two_cpus(const std::string& name, std::function<void(benchmark::State&)> body) {
  declare(name, 1, once([body = std::move(body)](benchmark::State& state) {
            state.counters["round_trip"] = round_trip();
            body(state);
          }));
}
void add_once(const std::string& name, std::function<void(benchmark::State&)> body) {
  declare(name, 1, once(std::move(body)))->Repetitions(1);
}

}  // namespace sluice::bench

int main(int count, char** arguments) { return sluice::bench::run(count, arguments); }
