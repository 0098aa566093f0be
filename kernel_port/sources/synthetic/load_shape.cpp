#include "kernel_port/sources/synthetic/load_shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "kernel_port/sources/replay/json_line.h"
#include "kernel_port/sources/replay/line_reader.h"

namespace sluice::synthetic {
namespace {

constexpr uint64_t recorded_step = 1'000'000;  // 100 ms in units of 100 ns
constexpr size_t most_recorded_steps = 1'000'000;

// Bytes at which that share of all records is reached: ../shared/data's README ("Record size"), linear in between.
struct quantile {
  double share;
  double bytes;
};
constexpr quantile recorded_sizes[] = {{0, 16}, {0.5, 122}, {0.95, 434}, {0.99, 816}, {0.9999, 4096}, {1, 10970}};

}  // namespace

const char* name_of(activity_kind kind) {
  constexpr const char* names[activity_kinds] = {"process", "thread", "image", "registry", "own"};
  return names[static_cast<size_t>(kind)];
}

rhythm steady() { return {}; }

rhythm poisson() {
  rhythm shape;
  shape.random_gaps = true;
  return shape;
}

rhythm bursts(uint64_t period, double share) {
  constexpr size_t steps = 1000;
  rhythm shape;
  shape.step = std::max<uint64_t>(1, period / steps);
  shape.levels.assign(steps, 0.0);
  const auto on = static_cast<size_t>(std::clamp(std::lround(share * steps), 1L, static_cast<long>(steps)));
  std::fill_n(shape.levels.begin(), on, static_cast<double>(steps) / static_cast<double>(on));
  return shape;
}

rhythm from_recording(const std::string& path) {
  replay::line_reader lines(path);
  replay::json_parser parser;
  replay::recorded_event event;
  std::string_view line;
  std::vector<double> counts;
  uint64_t first = 0;
  bool any = false;
  while (lines.next(line)) {
    if (line.empty() || !parser.parse(line, event).empty()) continue;
    if (!any) first = event.time;
    any = true;
    const uint64_t step = event.time > first ? (event.time - first) / recorded_step : 0;
    if (step >= most_recorded_steps) {
      throw std::runtime_error(fmt::format("{}: line {}: more than a day behind the first event", path, lines.line_number()));
    }
    if (step >= counts.size()) counts.resize(step + 1);
    counts[step] += 1;
  }
  if (!any) throw std::runtime_error(fmt::format("{}: no event to take a rhythm from", path));
  const double mean = std::accumulate(counts.begin(), counts.end(), 0.0) / static_cast<double>(counts.size());
  for (double& level : counts) level /= mean;
  return {recorded_step * 100, std::move(counts), true};
}

uint64_t dice::next() {
  // splitmix64
  uint64_t z = state_ += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

double dice::unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
double dice::exponential() { return -std::log(1.0 - unit()); }

activity_kind choose(const activity_mix& mix, dice& random) {
  double left = random.unit() * std::accumulate(mix.begin(), mix.end(), 0.0);
  for (uint32_t i = 0; i < activity_kinds; ++i) {
    if (left < mix[i]) return static_cast<activity_kind>(i);
    left -= mix[i];
  }
  // Rounding: the last that has a part at all.
  uint32_t last = activity_kinds - 1;
  while (last > 0 && mix[last] <= 0) --last;
  return static_cast<activity_kind>(last);
}

uint32_t choose(const size_distribution& sizes, dice& random) {
  if (!sizes.as_recorded) return sizes.least + static_cast<uint32_t>(random.unit() * (sizes.most - sizes.least + 1.0));
  const double share = random.unit();
  const quantile* above = recorded_sizes + 1;
  while (share > above->share) ++above;
  const quantile& below = above[-1];
  return static_cast<uint32_t>(below.bytes + (above->bytes - below.bytes) * (share - below.share) / (above->share - below.share));
}

pacer::pacer(const rhythm& shape, double per_second, dice random, double phase)
    : shape_(shape), per_level_(per_second * static_cast<double>(shape.step) / 1e9), random_(random), first_(1.0 - phase) {}

double pacer::next() {
  double wanted = shape_.random_gaps ? random_.exponential() : std::exchange(first_, 1.0);
  for (;;) {
    const double floor = std::floor(at_);
    const auto step = static_cast<uint64_t>(floor) % shape_.levels.size();
    const double rate = shape_.levels[step] * per_level_;
    const double here = (floor + 1 - at_) * rate;
    if (here > wanted) {
      at_ += wanted / rate;
      return at_ * static_cast<double>(shape_.step);
    }
    wanted -= here;
    at_ = floor + 1;
  }
}

}  // namespace sluice::synthetic
