// The words of --types, looked up.
#pragma once

#include <string>
#include <vector>

#include "consumers/event_source.h"
#include "consumers/type_names.h"

namespace sluice::tool {

// Bit n: type n. Throws source_error that names the types that there are.
uint64_t find_types(const type_names& names, const std::string& word);
uint64_t find_types(const type_names& names, const std::vector<std::string>& words);

}  // namespace sluice::tool
