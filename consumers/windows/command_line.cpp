#include "consumers/windows/command_line.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <iostream>

namespace sluice::tool {
namespace {

constexpr const char* description =
    "Carries process, thread, image, registry and own events out of the kernel of this machine, in order, with every loss accounted.\n"
    "The driver, sluice.sys, has to be loaded, and whoever runs this is an administrator. Recordings (record, stats FILE) are not part of\n"
    "the tool on Windows, nor are the simulated kernel and what is read of images: on Linux it has them.";

constexpr const char* exit_codes =
    "Exit codes: 0 done (also when the reader of stdout went away);\n"
    "            1 wrong use, no driver, no permission, or output that could not be written;\n"
    "            2 an invariant is broken: the summary says which.\n"
    "Events go to stdout, everything else to stderr. A first Ctrl-C ends the run: what is on its way is still printed, then the\n"
    "summary. A second one stops at once.";

// A CLI11 validator from one of our parsers: an empty string means fine.
template <class value>
CLI::Validator validator(parsed<value> (*parse)(std::string_view)) {
  return CLI::Validator([parse](std::string& text) { return parse(text).error; }, "");
}

struct watch_texts {
  std::string types = "process,thread,image,registry,own";
  std::string duration = "forever";
  std::string format = "text";
  std::string transport = "automatic";
};

void add_watch(CLI::App& app, watch_options& watch, watch_texts& texts) {
  CLI::App& command = *app.add_subcommand("watch", "Prints events as they happen, then a summary on stderr");
  command.footer(exit_codes);
  command
      .add_option("--types", texts.types,
                  "Which events: process, thread, image, registry, own; single ones, such as\n"
                  "registry_set_value; own types by the name that their driver gave them")
      ->check(validator(parse_types))
      ->type_name("LIST")
      ->capture_default_str();
  command
      .add_option("--filter", watch.filter_path,
                  "Which events this client gets, and how many: a file (docs/filter-format.md); by the port only")
      ->type_name("FILE");
  command.add_option("--for,--duration", texts.duration, "How long: 10s, 500ms, 2m; 0 or forever: until Ctrl-C")
      ->check(validator(parse_duration))
      ->type_name("TIME")
      ->capture_default_str();
  command.add_option("--format", texts.format, "text or jsonl (docs/output-formats.md)")
      ->check(validator(parse_format))
      ->type_name("FORMAT")
      ->capture_default_str();
  command
      .add_option("--transport", texts.transport,
                  "port, ioctl or mapping; automatic: the port, or ioctl where there is none (docs/client.md)")
      ->check(validator(parse_transport))
      ->type_name("TRANSPORT")
      ->capture_default_str();
}

void take_values(watch_options& watch, const watch_texts& texts) {
  watch.types = *parse_types(texts.types).result;
  watch.duration = *parse_duration(texts.duration).result;
  watch.format = *parse_format(texts.format).result;
  watch.by = *parse_transport(texts.transport).result;
}

void add_filter(CLI::App& app, std::string& path) {
  CLI::App& command = *app.add_subcommand("filter", "What a filter file says; the driver's filter");
  command.require_subcommand(1);
  const auto add = [&](const char* verb, const char* what) -> CLI::App& {
    CLI::App& sub = *command.add_subcommand(verb, what);
    sub.footer("Exit codes: 0 done; 1 no driver, or the filter is none or is refused: it is said why.");
    return sub;
  };
  add("check", "Says on stdout what a filter file means, on stderr what is wrong with it; needs no driver")
      .add_option("FILE", path, "The filter (docs/filter-format.md)")
      ->required();
  add("show", "Says on stdout which filter the driver has");
  add("set", "Gives the driver a filter, for all of its clients, until it is cleared")
      .add_option("FILE", path, "The filter (docs/filter-format.md)")
      ->required();
  add("clear", "Takes the driver's filter away");
}

command_line::command command_of(const CLI::App& app) {
  if (app.got_subcommand("watch")) return command_line::command::watch;
  if (app.got_subcommand("stats")) return command_line::command::stats;
  const CLI::App& filter = *app.get_subcommand("filter");
  return filter.got_subcommand("show")    ? command_line::command::show_filter
         : filter.got_subcommand("set")   ? command_line::command::set_filter
         : filter.got_subcommand("clear") ? command_line::command::clear_filter
                                          : command_line::command::check_filter;
}

}  // namespace

command_line parse_windows_command_line(std::vector<std::string> arguments) {
  command_line result;
  result.connect = result.watch.connect = "localhost";
  CLI::App app(description, "sluice");
  app.footer(exit_codes);
  app.set_version_flag("--version", "sluice " SLUICE_VERSION);
  app.require_subcommand(1);
  app.fallthrough(false);
  app.allow_windows_style_options(false);  // the same command line as elsewhere, and /a/path is a path
  watch_texts watch;
  add_watch(app, result.watch, watch);
  app.add_subcommand("stats", "Says what the driver counts, on stdout")->footer(exit_codes);
  add_filter(app, result.filter_path);
  const std::string first = arguments.empty() ? "" : arguments.front();
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    if (error.get_name() == "RequiredError" && !first.empty() && app.get_subcommands().empty()) {
      std::cerr << "sluice: '" << first << "' is not a command here; there are: watch, stats, filter\nRun with --help for more information.\n";
      result.exit_code = exit_wrong_use;
      return result;
    }
    // CLI11 has a code for each kind of error; ours are part of the tool's contract.
    result.exit_code = app.exit(error, std::cout, std::cerr) == 0 ? exit_ok : exit_wrong_use;
    return result;
  }
  take_values(result.watch, watch);
  result.run = command_of(app);
  return result;
}

}  // namespace sluice::tool
