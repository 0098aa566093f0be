#include "consumers/tool/command_line.h"

#include <CLI/CLI.hpp>

#include <iostream>
#include <string>

namespace sluice::tool {
namespace {

constexpr const char* description =
    "Carries process, thread, image and own events out of a kernel, in order, with every loss accounted.\n"
    "The kernel is a simulated NT kernel in this process, which runs the driver's own code; its events are those of this\n"
    "Linux machine.";

constexpr const char* exit_codes =
    "Exit codes: 0 done (also when the reader of stdout went away);\n"
    "            1 wrong use, no permission, or output that could not be written;\n"
    "            2 an invariant is broken: the summary says which.\n"
    "Events go to stdout, everything else to stderr. A first SIGINT or SIGTERM ends the run: what is on its way is still\n"
    "printed, then the summary. A second one stops at once.";

// A CLI11 validator from one of our parsers: an empty string means fine.
template <class value>
CLI::Validator validator(parsed<value> (*parse)(std::string_view)) {
  return CLI::Validator([parse](std::string& text) { return parse(text).error; }, "");
}

}  // namespace

command_line parse_command_line(int count, char** arguments) {
  command_line result;
  watch_options& watch = result.watch;
  std::string duration = "10s";
  std::string ring_size = "1MiB";
  std::string format = "text";

  CLI::App app(description, "sluice");
  app.footer(exit_codes);
  app.set_version_flag("--version", "sluice " SLUICE_VERSION);
  app.require_subcommand(1);
  app.fallthrough(false);

  CLI::App& command = *app.add_subcommand("watch", "Prints events as they happen, then a summary on stderr");
  command.footer(exit_codes);
  command.add_option("--source", watch.source, "Where activity comes from: live, this Linux machine")
      ->check(CLI::IsMember({"live"}))
      ->capture_default_str();
  command.add_option("--duration", duration, "How long: 10s, 500ms, 2m; 0 or forever: until SIGINT")
      ->check(validator(parse_duration))
      ->type_name("TIME")
      ->capture_default_str();
  CLI::Option& types = *command.add_option("--types", watch.types_text, "Which events: process, thread, image, own")
                            ->check(validator(parse_types))
                            ->type_name("LIST")
                            ->capture_default_str();
  command.add_option("--format", format, "text or jsonl (docs/output-formats.md)")
      ->check(validator(parse_format))
      ->type_name("FORMAT")
      ->capture_default_str();
  command.add_option("--ring-size", ring_size, "Capacity of each CPU's ring, a power of two: 64KiB, 1MiB")
      ->check(validator(parse_ring_size))
      ->type_name("SIZE")
      ->capture_default_str();
  command.add_option("--cpus", watch.cpus, "Virtual CPUs, 1 to 256; as many as this machine has if not given")
      ->check(CLI::Range(1, 256))
      ->type_name("N");

  try {
    app.parse(count, arguments);
  } catch (const CLI::ParseError& error) {
    if (error.get_name() == "RequiredError" && count > 1) {
      std::cerr << "sluice: '" << arguments[1] << "' is not a command; there is: watch\nRun with --help for more information.\n";
      result.exit_code = exit_wrong_use;
      return result;
    }
    // CLI11 has a code for each kind of error; ours are part of the tool's contract.
    result.exit_code = app.exit(error, std::cout, std::cerr) == 0 ? exit_ok : exit_wrong_use;
    return result;
  }
  watch.duration = *parse_duration(duration).result;
  watch.ring_bytes = *parse_ring_size(ring_size).result;
  watch.format = *parse_format(format).result;
  watch.types = *parse_types(watch.types_text).result;
  watch.types_given = types.count() != 0;
  result.run_watch = true;
  return result;
}

}  // namespace sluice::tool
