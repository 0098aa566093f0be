// A filter in words: what `sluice filter check` prints and a watch says when it begins.
#pragma once

#include <string>
#include <vector>

#include "consumers/filter/rules.h"

namespace sluice::filter {

// One line for each part that filters; empty: nothing does.
std::vector<std::string> describe(const rules& filter, const type_names& names);

}  // namespace sluice::filter
