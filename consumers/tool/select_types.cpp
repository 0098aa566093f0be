#include "consumers/tool/select_types.h"

#include <fmt/format.h>

#include "consumers/nearest.h"

namespace sluice::tool {

uint64_t find_types(const type_names& names, const std::string& word) {
  if (const uint64_t types = names.find(word)) return types;
  const std::string_view near = nearest(word, names.all());
  throw source_error(fmt::format("'{}' is not an event type{} there are: {}", word,
                                 near.empty() ? ";" : fmt::format(", is '{}' meant?", near), names.known()));
}

uint64_t find_types(const type_names& names, const std::vector<std::string>& words) {
  uint64_t types = 0;
  for (const std::string& word : words) types |= find_types(names, word);
  return types;
}

}  // namespace sluice::tool
