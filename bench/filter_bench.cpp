// What a filter costs a callback, on the simulated NT kernel (as in callback_bench.cpp, raising IRQL is a function of the simulation and
// is done twice for a decision: see `sections`).
//
//   callback/filter/sections             a reader of a snapshot comes and goes: two sections, nothing else
//   callback/filter/none                 both looks at an event without a filter: what every event pays
//   callback/filter/types                with a filter that wants all types and says nothing else
//   callback/filter/processes_N          with N rules for processes, each for descendants; the event's has none
//   callback/filter/paths_N              with N entries of 8 components, and a path of 73 units below one of them
//   callback/filter/limits               with a window for repeats, a rate per type and one per process
//   callback/filter/refused              refused at the first look, and counted
//   callback/filter/replace_CPUS         a filter replaced by another, nobody reading
#include <algorithm>
#include <optional>
#include <stdexcept>
#include <vector>

#include "bench/suite.h"
#include "kernel_port/sim/machine.h"
#include "producers/event_decision.h"
#include "producers/events.h"

namespace sluice::bench {
namespace {

constexpr uint16_t type = event_type_image_load;

template <class entry>
void append(std::vector<uint8_t>& message, const entry& what) {
  const auto* const bytes = reinterpret_cast<const uint8_t*>(&what);
  message.insert(message.end(), bytes, bytes + sizeof what);
}

filter_header plain_header() {
  filter_header header{};
  header.magic = filter_magic;
  header.version = filter_version;
  header.header_bytes = sizeof header;
  header.types = header.process_types = ~uint64_t{0};
  return header;
}

std::vector<uint8_t> finished(filter_header header, std::vector<uint8_t> rest) {
  std::vector<uint8_t> message;
  header.total_bytes = static_cast<uint32_t>(sizeof header + rest.size());
  append(message, header);
  message.insert(message.end(), rest.begin(), rest.end());
  return message;
}

std::vector<uint8_t> with_processes(uint32_t count, uint32_t flags) {
  filter_header header = plain_header();
  header.processes = {sizeof header, count};
  std::vector<uint8_t> rest;
  for (uint32_t i = 0; i < count; ++i) append(rest, filter_process{100000 + 4 * i, flags});
  return finished(header, std::move(rest));
}

// \Device\HarddiskVolume3\Program Files\Vendor\Product 00017\bin\x64
std::u16string path_of(uint32_t number) {
  const std::string digits = std::to_string(100000 + number).substr(1);
  return u"\\Device\\HarddiskVolume3\\Programs\\Vendor\\P" + std::u16string(digits.begin(), digits.end()) + u"\\bin\\x64\\r";
}

std::vector<uint8_t> with_paths(uint32_t count) {
  filter_header header = plain_header();
  header.images = {sizeof header, count};
  std::vector<uint8_t> rest, texts;
  for (uint32_t i = 0; i < count; ++i) {
    const std::u16string text = path_of(i);
    append(rest, filter_path{static_cast<uint32_t>(sizeof header + count * sizeof(filter_path) + texts.size()),
                             static_cast<uint16_t>(text.size() * 2), 0});
    const auto* const bytes = reinterpret_cast<const uint8_t*>(text.data());
    texts.insert(texts.end(), bytes, bytes + text.size() * 2);
  }
  rest.insert(rest.end(), texts.begin(), texts.end());
  return finished(header, std::move(rest));
}

std::vector<uint8_t> with_limits() {
  filter_header header = plain_header();
  header.repeat_types = header.process_rate_types = ~uint64_t{0};
  header.repeat_window_ms = 1;
  header.process_rate = {max_events_per_second, max_burst};
  header.type_rates = {sizeof header, 1};
  std::vector<uint8_t> rest;
  append(rest, filter_type_rate{type, 0, {max_events_per_second, max_burst}, 0});
  return finished(header, std::move(rest));
}

std::vector<uint8_t> with_types(uint64_t types) {
  filter_header header = plain_header();
  header.types = types;
  return finished(header, {});
}

// A machine, a filter, and the calling thread on its CPU 0, as process 4000.
class stage {
 public:
  explicit stage(const std::vector<uint8_t>& message, uint32_t cpus = 2)
      : machine_({.processors = cpus, .check_paged_access = false}), here_(machine_, 0, 4000, 4004) {
    resolve_kernel_functions(functions_);
    filter_.emplace();
    if (!filter_->create(functions_)) throw std::runtime_error("no memory for a filter");
    if (!message.empty()) set(message);
  }
  void set(const std::vector<uint8_t>& message) {
    filter_answer answer{};
    const NTSTATUS status = filter_->set(message.data(), static_cast<uint32_t>(message.size()), answer);
    if (!NT_SUCCESS(status) || answer.error != 0) throw std::runtime_error(name_of(static_cast<filter_error>(answer.error)));
  }
  event_filter& filter() { return *filter_; }

 private:
  sim::machine machine_;
  sim::activity here_;
  kernel_functions functions_{};
  std::optional<event_filter> filter_;
};

void decide(benchmark::State& state, const std::vector<uint8_t>& message, bool expected) {
  stage on(message);
  const std::u16string path = path_of(7) + u"\\some library.dll";
  uint64_t number = 0;
  bool as_expected = true;
  for (auto _ : state) {
    ++number;  // each event is another one: no repeat
    event_decision decision(on.filter(), type);
    const bool kept = decision.wants(4000) &&
                      decision.keeps_image({path.data(), static_cast<uint32_t>(path.size() * 2), true, true},
                                           [&](key_hash& key) {
                                             key.add(number);
                                             key.add(path.data(), static_cast<uint32_t>(path.size() * 2));
                                           });
    as_expected &= kept == expected;
    benchmark::ClobberMemory();
  }
  if (!as_expected) state.SkipWithError("decided otherwise than expected");
}

struct nothing {};

void sections(benchmark::State& state) {
  sim::machine machine({.check_paged_access = false});
  const sim::activity here(machine, 0, 4000, 4004);
  kernel_functions functions{};
  resolve_kernel_functions(functions);
  nothing something;
  nt_snapshot<nothing> snapshot;
  if (!snapshot.create(functions)) throw std::runtime_error("no memory for a snapshot");
  (void)snapshot.replace(&something);
  for (auto _ : state) {
    const snapshot_reader<nothing> reader(snapshot);
    benchmark::DoNotOptimize(reader.get());
  }
  (void)snapshot.replace(nullptr);
}

void replace(benchmark::State& state, uint32_t cpus) {
  const std::vector<uint8_t> message = with_types(~uint64_t{0});
  stage on(message, cpus);
  for (auto _ : state) on.set(message);
}

}  // namespace

void add_filter(const settings& with) {
  const uint64_t calls = with.scale(100000);
  add("callback/filter/sections", calls, sections);
  const auto add_decision = [&](const std::string& name, std::vector<uint8_t> message, bool kept = true) {
    add("callback/filter/" + name, calls, [message = std::move(message), kept](benchmark::State& state) {
      decide(state, message, kept);
    });
  };
  add_decision("none", {});
  add_decision("types", with_types(~uint64_t{0}));
  for (const uint32_t count : {10u, 4000u}) {
    add_decision("processes_" + std::to_string(count),
                 with_processes(count, filter_rule_exclude | filter_rule_descendants));
  }
  for (const uint32_t count : {10u, 10000u}) add_decision("paths_" + std::to_string(count), with_paths(count));
  add_decision("limits", with_limits());
  add_decision("refused", with_types(0), false);
  for (const uint32_t cpus : {2u, 16u}) {
    add("callback/filter/replace_" + std::to_string(cpus), with.scale(100),
        [cpus](benchmark::State& state) { replace(state, cpus); });
  }
}

}  // namespace sluice::bench
