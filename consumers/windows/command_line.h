// The command line of sluice.exe: that of the tool, as far as it is a client of the driver of this machine.
#pragma once

#include <string>
#include <vector>

#include "consumers/tool/command_line.h"

namespace sluice::tool {

// `arguments`: without the program's name, UTF-8. Prints help and version to stdout, what is wrong to stderr.
command_line parse_windows_command_line(std::vector<std::string> arguments);

}  // namespace sluice::tool
