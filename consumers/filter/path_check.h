// The paths of one table of a filter, compared with each other.
#pragma once

#include "consumers/filter/configuration.h"

namespace sluice::filter {

// Says which paths are there twice, which are both included and excluded, and which change nothing because another one
// above them says the same. n log n. Components end at `\`; where `slash_separates`, at `/` as well.
void check_paths(const std::vector<path_rule>& said, bool slash_separates, diagnostics& found);

}  // namespace sluice::filter
