// How benchmarks of this program are declared: each has a name and a fixed number of iterations, so that a run's length
// is known and every repetition of every benchmark does the same work. google-benchmark repeats them in random order
// (bench/main.cpp), so that whatever changes on the machine meanwhile meets all of them.
//
// A name is a path that bench/report/ takes apart: section/what/...
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <functional>
#include <string>

namespace sluice::bench {

enum class effort { full, quick, check };  // check: that it runs at all

struct settings {
  effort how = effort::full;
  // Work of one repetition. Quick means fewer repetitions of the same work.
  uint64_t scale(uint64_t work) const { return how == effort::check ? work / 50 + 1 : work; }
};

// Each file of benchmarks adds its own. `section` as in the name.
void add_write(const settings& with);
void add_instructions(const settings& with);
void add_callback(const settings& with);
void add_filter(const settings& with);
void add_handover(const settings& with);
void add_limits(const settings& with);
void add_parallel(const settings& with);
void add_merge(const settings& with);
void add_tail(const settings& with);
void add_transport(const settings& with);

// `body` runs `iterations` times under the benchmark's clock.
void add(const std::string& name, uint64_t iterations, std::function<void(benchmark::State&)> body);

// The same once in the whole run: for what does not vary.
void add_once(const std::string& name, std::function<void(benchmark::State&)> body);

// `body` measures by itself, once a repetition, and leaves its figures in counters.
void add_measured(const std::string& name, std::function<void(benchmark::State&)> body);

// The same for what runs on two processors. A hypervisor may move them nearer to each other or farther apart at any time:
// the round trip of a cache line is measured before each repetition and kept with its figures.
void add_on_two_cpus(const std::string& name, std::function<void(benchmark::State&)> body);

}  // namespace sluice::bench
