#include "consumers/tool/filter_option.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>

#include "consumers/filter/describe.h"
#include "consumers/tool/command_line.h"

namespace sluice::tool {
namespace {

void throw_errors(const std::string& path, const filter::diagnostics& found) {
  if (found.errors() == 0) return;
  throw filter_error_list(fmt::format("the filter cannot be used:\n{}", fmt::join(filter::report(path, found), "\n")));
}

std::string count(uint64_t n, std::string_view thing) { return fmt::format("{} {}{}", n, thing, n == 1 ? "" : "s"); }

}  // namespace

filter_option::filter_option(std::string path) : path_(std::move(path)) {
  said_ = filter::load(path_, found_);
  throw_errors(path_, found_);
}

std::vector<std::string> filter_option::apply(event_source& source,
                                              const std::function<filter_answer(std::span<const uint8_t>)>& set) {
  filter::diagnostics found = found_;
  type_names names(source.types());
  const filter::rules rules = filter::check(said_, names, filter::own_types::known, found);
  const std::optional<filter::message> message = filter::compile(rules, found);
  throw_errors(path_, found);
  std::vector<std::string> lines = filter::report(path_, found);
  if (!message) {
    lines.push_back(fmt::format("sluice: the filter {} lets everything through", path_));
    return lines;
  }
  const filter_answer answer = set(message->bytes);
  if (answer.error != static_cast<uint32_t>(filter_error::none)) {
    found.error(message->place_of(answer.offset), fmt::format("the driver refuses the filter: {} (error {}, offset {})",
                                                              name_of(static_cast<filter_error>(answer.error)), answer.error, answer.offset));
    throw_errors(path_, found);
  }
  for (const std::string& line : filter::describe(rules, names)) lines.push_back("sluice: filter: " + line);
  return lines;
}

int check_filter(const std::string& path) {
  filter::diagnostics found;
  const filter::configuration said = filter::load(path, found);
  type_names names;
  const filter::rules rules = filter::check(said, names, filter::own_types::unknown, found);
  const std::optional<filter::message> message = found.errors() == 0 ? filter::compile(rules, found) : std::nullopt;
  for (const std::string& line : filter::report(path, found)) fmt::print(stderr, "{}\n", line);
  if (found.errors() != 0) {
    fmt::print(stderr, "sluice: {}: {}\n", path, count(found.errors(), "error"));
    return exit_wrong_use;
  }
  if (!message) {
    fmt::print("no filter: every event is let through\n");
  } else {
    for (const std::string& line : filter::describe(rules, names)) fmt::print("{}\n", line);
  }
  return exit_ok;
}

}  // namespace sluice::tool
