#include "consumers/filter/describe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "consumers/filter/text.h"
#include "consumers/filter/values.h"
#include "consumers/utf16.h"

namespace sluice::filter {
namespace {

constexpr size_t most_shown = 5;

std::string join(const std::vector<std::string>& entries) {
  if (entries.size() <= most_shown) return fmt::format("{}", fmt::join(entries, ", "));
  return fmt::format("{} and {} more", fmt::join(entries.begin(), entries.begin() + most_shown, ", "), entries.size() - most_shown);
}

// "only A, but not B"; "all but B".
template <class rule, class show_rule>
std::string included_and_excluded(const std::vector<rule>& rules, const show_rule& show) {
  std::vector<std::string> included, excluded;
  for (const rule& one : rules) (one.exclude ? excluded : included).push_back(show(one));
  if (included.empty()) return "all but " + join(excluded);
  return "only " + join(included) + (excluded.empty() ? "" : "; not " + join(excluded));
}

std::string show(const process_rule& rule) {
  return fmt::format("{}{}", rule.pid, rule.descendants ? " with its descendants" : " alone");
}
std::string show(const path_rule& rule) { return harmless(to_utf8(bytes_of(rule.path))); }
std::string show(const rate_limit& rate) {
  return fmt::format("{} a second, at once {} at most", rate.per_second, rate.burst);
}

}  // namespace

std::vector<std::string> describe(const rules& filter, const type_names& names) {
  std::vector<std::string> lines;
  const auto of = [&](uint64_t types) {
    return (types & all_events) == all_events ? std::string("every event") : names.show(types & all_events);
  };
  if (filter.types != ~uint64_t{0}) lines.push_back("types: only " + of(filter.types));
  if (!filter.processes.empty()) {
    lines.push_back(fmt::format("processes: {} (asked of: {})",
                                included_and_excluded(filter.processes, [](const process_rule& rule) { return show(rule); }),
                                of(filter.process_types)));
  }
  const auto show_path = [](const path_rule& rule) { return show(rule); };
  if (!filter.images.empty()) lines.push_back("images: " + included_and_excluded(filter.images, show_path));
  if (!filter.keys.empty()) lines.push_back("keys: " + included_and_excluded(filter.keys, show_path));
  if (filter.repeat_types != 0) {
    lines.push_back(fmt::format("repeats: not within {} of the same on its CPU ({})",
                                show_interval(uint64_t{filter.repeat_window_ms} * 1'000'000), of(filter.repeat_types)));
  }
  for (const auto& [type, rate] : filter.type_rates) {
    lines.push_back(fmt::format("rate of {}: {}, on each CPU", names.show(bit_of(type)), show(rate)));
  }
  if (filter.process_rate_types != 0) {
    lines.push_back(fmt::format("rate of each process: {}, on each CPU ({})", show(filter.process_rate), of(filter.process_rate_types)));
  }
  return lines;
}

}  // namespace sluice::filter
