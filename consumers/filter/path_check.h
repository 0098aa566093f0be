// The paths of one table of a filter, compared with each other.
#pragma once

#include "consumers/filter/configuration.h"

namespace sluice::filter {

// Says which paths are there twice, which are both included and excluded, and which change nothing because another one
// above them says the same. Gives those that are right, in the order of the file. n log n.
std::vector<path_rule> check_paths(const std::vector<path_rule>& said, diagnostics& found);

}  // namespace sluice::filter
