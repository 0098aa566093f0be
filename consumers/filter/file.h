// The text of a filter file, as it stands on the disk.
#pragma once

#include <optional>
#include <string>

#include "consumers/filter/diagnostic.h"

namespace sluice::filter {

// Tens of thousands of paths; what is longer is a mistake, or an attack.
inline constexpr size_t most_file_bytes = size_t{4} << 20;

// Reads the file, also a pipe. None: missing, unreadable, a directory, too large, or not UTF-8; `found` says which.
std::optional<std::string> read_file(const std::string& path, diagnostics& found);

}  // namespace sluice::filter
