#include "kernel_port/sources/live/command_line.h"

namespace sluice::live {
namespace {

void append_argument(std::string& line, std::string_view argument) {
  if (!argument.empty() && argument.find_first_of(" \t\n\v\"") == std::string_view::npos) {
    line += argument;
    return;
  }
  line += '"';
  size_t backslashes = 0;
  for (char c : argument) {
    if (c == '\\') {
      ++backslashes;
      continue;
    }
    // Backslashes count double in front of a quote only.
    line.append(c == '"' ? 2 * backslashes + 1 : backslashes, '\\');
    backslashes = 0;
    line += c;
  }
  line.append(2 * backslashes, '\\');
  line += '"';
}

}  // namespace

std::string join_command_line(std::string_view arguments) {
  std::string line;
  bool first = true;
  while (!arguments.empty()) {
    size_t end = arguments.find('\0');
    if (!first) line += ' ';
    first = false;
    append_argument(line, arguments.substr(0, end));
    if (end == std::string_view::npos) break;
    arguments.remove_prefix(end + 1);
  }
  return line;
}

}  // namespace sluice::live
