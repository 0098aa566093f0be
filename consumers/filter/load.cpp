#include "consumers/filter/load.h"

#include <fmt/format.h>

#include "consumers/filter/file.h"

namespace sluice::filter {

configuration load(const std::string& path, diagnostics& found) {
  const std::optional<std::string> text = read_file(path, found);
  return text ? parse(*text, found) : configuration{};
}

std::vector<std::string> report(const std::string& path, const diagnostics& found) {
  std::vector<std::string> lines;
  for (const diagnostic& one : found.sorted()) lines.push_back(show(path, one));
  if (found.left_out() != 0) lines.push_back(fmt::format("{}: and {} more of these", harmless(path), found.left_out()));
  return lines;
}

}  // namespace sluice::filter
