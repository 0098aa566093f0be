// sluice_bench: figures are ratios. Compare each with the floor of the same run on the same machine, never with another's.
#include <benchmark/benchmark.h>

#include <fstream>
#include <string>

#include "bench/bench_support.h"

namespace {

std::string processor_name() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

std::string first_line_of(const char* path) {
  std::ifstream file(path);
  std::string line;
  return std::getline(file, line) ? line : "unknown";
}

}  // namespace

int main(int count, char** arguments) {
  using namespace sluice;
  benchmark::Initialize(&count, arguments);
  if (benchmark::ReportUnrecognizedArguments(count, arguments)) return 1;
  benchmark::AddCustomContext("processor", processor_name());
  benchmark::AddCustomContext("frequency governor",
                              first_line_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"));
  benchmark::AddCustomContext("clock source",
                              first_line_of("/sys/devices/system/clocksource/clocksource0/current_clocksource"));
  benchmark::AddCustomContext("clock", "clock_gettime(CLOCK_MONOTONIC), as the simulated kernel's performance counter");
  benchmark::AddCustomContext("ring", std::to_string(bench::main_geometry.capacity) + " bytes, " +
                                          std::to_string(bench::main_geometry.critical_bytes) + " critical");
#ifdef NDEBUG
  benchmark::AddCustomContext("asserts", "off");
#else
  benchmark::AddCustomContext("asserts", "on: these figures mean nothing");
#endif
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
