#include "consumers/filter/path_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "consumers/filter/text.h"
#include "consumers/filter/values.h"
#include "consumers/utf16.h"

namespace sluice::filter {
namespace {

struct sorted_path {
  std::u16string key;  // folded, separators as units 0: what lies below a path follows it at once
  size_t index;        // in what was said
};

std::string shown(const path_rule& rule) { return quoted(to_utf8(bytes_of(rule.path))); }

bool is_below(const std::u16string& key, const std::u16string& above) {
  return key.size() > above.size() && key.compare(0, above.size(), above) == 0 && key[above.size()] == 0;
}

std::vector<sorted_path> sort(const std::vector<path_rule>& said, bool slash_separates) {
  std::vector<sorted_path> paths;
  paths.reserve(said.size());
  for (size_t i = 0; i < said.size(); ++i) {
    std::u16string key = folded(said[i].path);
    for (char16_t& unit : key) {
      if (unit == u'\\' || (slash_separates && unit == u'/')) unit = 0;
    }
    paths.push_back({std::move(key), i});
  }
  std::sort(paths.begin(), paths.end(), [](const sorted_path& a, const sorted_path& b) {
    return a.key != b.key ? a.key < b.key : a.index < b.index;
  });
  return paths;
}

}  // namespace

void check_paths(const std::vector<path_rule>& said, bool slash_separates, diagnostics& found) {
  const bool included = std::any_of(said.begin(), said.end(), [](const path_rule& rule) { return !rule.exclude; });
  std::vector<const sorted_path*> above;  // each below the one before
  const sorted_path* previous = nullptr;
  const std::vector<sorted_path> paths = sort(said, slash_separates);
  for (const sorted_path& path : paths) {
    const path_rule& rule = said[path.index];
    if (previous != nullptr && previous->key == path.key) {
      const path_rule& first = said[previous->index];
      found.error(rule.at, first.exclude != rule.exclude
                               ? fmt::format("{} is both included (line {}) and excluded", shown(rule),
                                             (rule.exclude ? first : rule).at.line)
                               : fmt::format("{} is in this list already, in line {}", shown(rule), first.at.line));
      continue;
    }
    previous = &path;
    while (!above.empty() && !is_below(path.key, above.back()->key)) above.pop_back();
    if (!above.empty()) {
      const path_rule& nearest = said[above.back()->index];
      if (nearest.exclude == rule.exclude) {
        found.warning(rule.at, fmt::format("{} changes nothing: {}, in line {}, says the same of everything below it", shown(rule),
                                           shown(nearest), nearest.at.line));
      }
    } else if (rule.exclude && included) {
      found.warning(rule.at, fmt::format("{} changes nothing: it is not below anything that is included", shown(rule)));
    }
    above.push_back(&path);
  }
}

}  // namespace sluice::filter
