// What is asked of a kernel that runs elsewhere, without reading its stream: `sluice stats --connect NAME`, and `sluice filter
// show|set|clear --connect NAME`.
#pragma once

#include <string>

namespace sluice::tool {

// To stdout. Return the exit code; throw source_error.
int stats_connected(const std::string& name);
int show_filter(const std::string& name);
// For all clients, until it is cleared.
int set_filter(const std::string& name, const std::string& path);
int clear_filter(const std::string& name);

}  // namespace sluice::tool
