// Linux keeps a process's arguments as strings, NT as one line. The rule: arguments joined by one space; an argument that
// is empty or holds a space, tab or quote is quoted as CommandLineToArgvW takes it apart, so that the arguments can be
// had back. Any thread.
#pragma once

#include <string>
#include <string_view>

namespace sluice::live {

// `arguments` is /proc/PID/cmdline: each argument ends in a NUL. A last one without (a process that wrote over its
// arguments) is taken as it stands.
std::string join_command_line(std::string_view arguments);

}  // namespace sluice::live
