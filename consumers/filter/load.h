// A filter file from the disk to what is sent: read, parsed, checked, compiled.
#pragma once

#include <string>

#include "consumers/filter/message.h"

namespace sluice::filter {

// The file as it is, without looking up a name.
configuration load(const std::string& path, diagnostics& found);

// What was found, one line each, and the count of what was not kept.
std::vector<std::string> report(const std::string& path, const diagnostics& found);

}  // namespace sluice::filter
