#include "consumers/tool/command_line.h"

#include <CLI/CLI.hpp>

#include <iostream>
#include <string>

namespace sluice::tool {
namespace {

constexpr const char* description =
    "Carries process, thread, image, registry and own events out of a kernel, in order, with every loss accounted.\n"
    "The kernel is a simulated NT kernel in this process, which runs the driver's own code. What happens on "
    "it comes from a\n"
    "source: this Linux machine, a recording, or load that is made up. What is left of a machine that died, an image of its\n"
    "memory or a core file, is read without any.";

constexpr const char* exit_codes =
    "Exit codes: 0 done (also when the reader of stdout went away);\n"
    "            1 wrong use, no permission, damaged input (what is whole was read), or output that could "
    "not be written;\n"
    "            2 an invariant is broken: the summary says which.\n"
    "Events go to stdout, everything else to stderr. A first SIGINT or SIGTERM ends the run: what is on its "
    "way is still\n"
    "printed, then the summary. A second one stops at once.";

// A CLI11 validator from one of our parsers: an empty string means fine.
template <class value>
CLI::Validator validator(parsed<value> (*parse)(std::string_view)) {
  return CLI::Validator([parse](std::string& text) { return parse(text).error; }, "");
}

// Words of the command line that are not values yet; they are checked as they are parsed.
struct watch_texts {
  std::string source = "live";
  std::string duration;
  std::string ring_size = "1MiB";
  std::string format = "text";
  std::string order = "strict";
  std::string mode_text = "discard";
  CLI::Option* mode = nullptr;
  std::string from, to;
  std::string speed = "1";
  CLI::Option* speed_option = nullptr;
  std::string rate = "10000";
  std::string mix = "process=1,thread=4,image=20,registry=25,own=50";
  std::string rhythm = "steady";
  std::string sizes = "64";
  std::string dispatch_share = "25%";
  std::vector<const CLI::Option*> synthetic;
  std::string types_text = "process,thread,image,registry,own";
  CLI::Option* types = nullptr;
  CLI::Option* cpus = nullptr;
  CLI::Option* filter = nullptr;
};

// What is read of an image.
void add_image_options(CLI::App& command, image_choices& image) {
  command.add_flag("--unread", image.unread_only, "Of an image: only what no reader had taken yet")->group("Images");
  command
      .add_option_function<uint64_t>(
          "--boot", [&image](uint64_t boot) { image.boot = boot; }, "Of an image: this boot; the newest if not given")
      ->type_name("NUMBER")
      ->group("Images");
}

// What synthetic load looks like.
void add_synthetic_options(CLI::App& command, watch_options& watch, watch_texts& texts) {
  const auto add = [&](const char* name, std::string& text, const char* help, const CLI::Validator& check) {
    texts.synthetic.push_back(
        command.add_option(name, text, help)->check(check)->type_name("")->capture_default_str()->group("Synthetic load"));
  };
  add("--rate", texts.rate, "Events a second, or max", validator(parse_rate));
  add("--mix", texts.mix, "Weights of what happens", validator(parse_mix));
  add("--rhythm", texts.rhythm, "steady, poisson, bursts:PERIOD:SHARE (bursts:1s:10%), or recording:FILE", validator(parse_rhythm));
  add("--record-bytes", texts.sizes, "Variable part of a record: 64, 16-512, or recorded", validator(parse_sizes));
  add("--dispatch-share", texts.dispatch_share, "Of own events: written at DISPATCH_LEVEL", validator(parse_share));
  texts.synthetic.push_back(command.add_option("--producers", watch.synthetic.producers_per_cpu, "Threads on each CPU")
                                ->check(CLI::Range(1, 1024))
                                ->type_name("N")
                                ->group("Synthetic load"));
  texts.synthetic.push_back(
      command.add_option("--seed", watch.synthetic.seed, "Of everything random")->type_name("N")->group("Synthetic load"));
}

// What `watch` and `record` have in common: where events come from, and for how long.
void add_source_options(CLI::App& command, watch_options& watch, watch_texts& texts) {
  command
      .add_option("--source", texts.source,
                  "Where events come from:\n"
                  "live          this Linux machine\n"
                  "synthetic     made up, at any rate (docs/synthetic.md)\n"
                  "replay:FILE   another machine's recording in JSON Lines, also gzip (docs/replay.md)\n"
                  "file:FILE     a recording made by sluice record\n"
                  "image:FILE    the rings of a machine that died: a saved region, a memory image, a core file\n"
                  "              (docs/image-format.md)")
      ->check(validator(parse_source))
      ->type_name("SOURCE")
      ->capture_default_str();
  texts.types = command
                    .add_option("--types", texts.types_text,
                                "Which events: process, thread, image, registry, own; single ones, such as\n"
                                "registry_set_value; own types by the name that their driver gave them")
                    ->check(validator(parse_types))
                    ->type_name("LIST")
                    ->capture_default_str();
  texts.filter = command
      .add_option("--filter", watch.filter_path,
                  "Which events the driver keeps, and how many: a file (docs/filter-format.md)")
      ->type_name("FILE");
  command
      .add_option("--ring-size", texts.ring_size, "Capacity of each CPU's ring, a power of two: 64KiB, 1MiB")
      ->check(validator(parse_ring_size))
      ->type_name("SIZE")
      ->capture_default_str();
  texts.cpus = command
                   .add_option("--cpus", watch.cpus,
                               "Virtual CPUs, 1 to 256; as many as this machine has if not given")
                   ->check(CLI::Range(1, 256))
                   ->type_name("N");
  texts.speed_option = command
                           .add_option("--speed", texts.speed,
                                       "Of a replay: 1 as recorded, 10 ten times faster; max: as fast as it is read")
                           ->check(validator(parse_speed))
                           ->type_name("FACTOR");
  command.add_flag_callback(
      "--no-back-pressure", [&watch] { watch.back_pressure = false; },
      "With --speed max: do not wait for the reader; what the rings cannot hold is dropped");
  command
      .add_option(
          "--order", texts.order,
          "strict: a record that is still being written holds back what is younger (for 5 s at most);\n"
          "bounded:5ms: not longer than that; then it comes late, marked so")
      ->check(validator(parse_order))
      ->type_name("ORDER")
      ->capture_default_str();
  texts.mode = command
      .add_option("--mode", texts.mode_text,
                  "discard: an event that finds no room in its ring is dropped. overwrite: the oldest one makes room, read or\n"
                  "not (flight recorder)")
      ->check(CLI::IsMember({"discard", "overwrite"}))
      ->type_name("MODE")
      ->capture_default_str();
  command
      .add_option("--memory", watch.memory_path,
                  "Keep the simulated machine's non-paged memory, the rings, in this file, which must not exist yet. If this\n"
                  "process is killed, also with -9, --source image:FILE reads the last events; if it ends, the file is removed")
      ->type_name("FILE");
  command
      .add_option("--snapshot", watch.snapshot_path,
                  "Write what the rings hold to this file at SIGUSR1, and when the run ends, while everything goes on: an image\n"
                  "for --source image:FILE. It must not exist yet; the next ones are FILE.2, FILE.3 and so on")
      ->type_name("FILE");
  add_synthetic_options(command, watch, texts);
  add_image_options(command, watch.image);
}

// False: what was asked for contradicts itself, and that was said.
bool take_values(watch_options& watch, const watch_texts& texts, const char* default_duration) {
  watch.source = *parse_source(texts.source).result;
  const bool ends_by_itself = watch.source.kind != source_kind::live && watch.source.kind != source_kind::synthetic;
  const std::string duration = !texts.duration.empty() ? texts.duration
                               : ends_by_itself        ? "forever"
                                                       : default_duration;
  watch.duration = *parse_duration(duration).result;
  watch.ring_bytes = *parse_ring_size(texts.ring_size).result;
  watch.format = *parse_format(texts.format).result;
  watch.order = *parse_order(texts.order).result;
  watch.mode = texts.mode_text == "overwrite" ? ring_mode::overwrite : ring_mode::discard;
  watch.speed = *parse_speed(texts.speed).result;
  watch.synthetic.rate = *parse_rate(texts.rate).result;
  watch.synthetic.mix = *parse_mix(texts.mix).result;
  watch.synthetic.rhythm = *parse_rhythm(texts.rhythm).result;
  watch.synthetic.sizes = *parse_sizes(texts.sizes).result;
  watch.synthetic.dispatch_share = *parse_share(texts.dispatch_share).result;
  watch.types = *parse_types(texts.types_text).result;
  watch.types_given = texts.types->count() != 0;
  if (!texts.from.empty()) watch.from = *parse_moment(texts.from).result;
  if (!texts.to.empty()) watch.to = *parse_moment(texts.to).result;
  if ((watch.from || watch.to) && watch.source.kind != source_kind::file) {
    std::cerr << "sluice: --from and --to choose a part of a recording; they need --source file:FILE\n";
    return false;
  }
  for (const CLI::Option* option : texts.synthetic) {
    if (option->count() == 0 || watch.source.kind == source_kind::synthetic) continue;
    std::cerr << "sluice: " << option->get_name() << " needs --source synthetic\n";
    return false;
  }
  if (texts.speed_option->count() != 0 && watch.source.kind != source_kind::replay) {
    std::cerr << "sluice: --speed is that of a replay; it needs --source replay:FILE\n";
    return false;
  }
  if (!watch.back_pressure && (watch.source.kind != source_kind::replay || watch.speed != 0)) {
    std::cerr << "sluice: --no-back-pressure needs --source replay:FILE --speed max: nothing else waits for its "
                 "reader\n";
    return false;
  }
  const bool reads_only = watch.source.kind == source_kind::file || watch.source.kind == source_kind::image;
  if (reads_only && texts.filter->count() != 0) {
    std::cerr << "sluice: --filter is the driver's work, and a recording has no driver behind it, nor has an image; --types, --from "
                 "and --to choose what is shown\n";
    return false;
  }
  if (reads_only && texts.mode->count() != 0) {
    std::cerr << "sluice: --mode is that of the driver's rings, and a recording or an image has no driver behind it\n";
    return false;
  }
  if (watch.mode == ring_mode::overwrite && watch.source.kind == source_kind::replay && watch.speed == 0 &&
      watch.back_pressure) {
    std::cerr << "sluice: --speed max waits for its reader, and --mode overwrite does not: one of them, or --no-back-pressure\n";
    return false;
  }
  if (reads_only && texts.cpus->count() != 0) {
    std::cerr << "sluice: --cpus says nothing about a recording or an image: their events have their CPUs already\n";
    return false;
  }
  if (reads_only && !watch.memory_path.empty()) {
    std::cerr << "sluice: --memory is that of the simulated machine; a recording or an image needs none\n";
    return false;
  }
  if (reads_only && !watch.snapshot_path.empty()) {
    std::cerr << "sluice: --snapshot is of a driver's rings, and a recording or an image has no driver behind it\n";
    return false;
  }
  if (watch.source.kind != source_kind::image && (watch.image.unread_only || watch.image.boot)) {
    std::cerr << "sluice: --unread and --boot choose a part of an image; they need --source image:FILE\n";
    return false;
  }
  return true;
}

void add_watch(CLI::App& app, watch_options& watch, watch_texts& texts) {
  CLI::App& command = *app.add_subcommand("watch", "Prints events as they happen, then a summary on stderr");
  command.footer(exit_codes);
  add_source_options(command, watch, texts);
  command
      .add_option(
          "--for,--duration", texts.duration,
          "How long: 10s, 500ms, 2m; 0 or forever: until SIGINT. Not given: 10s; a recording to its end")
      ->check(validator(parse_duration))
      ->type_name("TIME");
  command.add_option("--format", texts.format, "text or jsonl (docs/output-formats.md)")
      ->check(validator(parse_format))
      ->type_name("FORMAT")
      ->capture_default_str();
  command
      .add_option("--from", texts.from,
                  "Of a recording: from this moment on; 2026-11-21T04:30:00Z, or +10s from its first event")
      ->check(validator(parse_moment))
      ->type_name("MOMENT");
  command.add_option("--to", texts.to, "Of a recording: up to this moment, which is left out")
      ->check(validator(parse_moment))
      ->type_name("MOMENT");
}

// Needs what add_watch has added.
void add_connect(CLI::App& command, watch_options& watch, std::string& by) {
  CLI::Option* const connect =
      command
          .add_option("--connect", watch.connect,
                      "The kernel that `sluice simulate NAME` runs, instead of one in this process: --types and --filter are this client's\n"
                      "own, and the duration is until SIGINT unless it is given")
          ->type_name("NAME")
          ->group("Another process");
  command
      .add_option("--transport", by, "port, ioctl or mapping; automatic: the port, or ioctl where there is none")
      ->check(validator(parse_transport))
      ->type_name("TRANSPORT")
      ->capture_default_str()
      ->needs(connect)
      ->group("Another process");
  for (const char* name : {"--source", "--ring-size", "--cpus", "--order", "--mode", "--memory", "--snapshot"}) {
    connect->excludes(command.get_option(name));
  }
}

void add_record(CLI::App& app, record_options& record, watch_texts& texts) {
  CLI::App& command = *app.add_subcommand(
      "record", "Writes events to a file (docs/recording-format.md), then a summary on stderr");
  command.footer(exit_codes);
  command.add_option("FILE", record.path, "The recording; it must not exist yet")->required();
  command.add_flag("--replace", record.replace, "Overwrite FILE if it exists");
  add_source_options(command, record.watch, texts);
  command.add_option("--for,--duration", texts.duration, "How long: 10s, 500ms, 2m. Not given: until SIGINT")
      ->check(validator(parse_duration))
      ->type_name("TIME");
}

void add_simulate(CLI::App& app, simulate_options& simulate, watch_texts& texts) {
  CLI::App& command = *app.add_subcommand(
      "simulate", "Serves a simulated machine with the driver to other processes, while a source drives it; then its account");
  command.footer(
      "Clients of this user, and root, reach it by NAME (docs/wire-format.md). \"serving PATH\" on stdout: they can connect.\n"
      "When the time is over or a first SIGINT or SIGTERM came, the load stops, clients read what is left, as long as they read,\n"
      "and then have their handles closed.\n\n"
      "Exit codes: 0 done; 1 wrong use, NAME is served already, damaged input (what is whole was raised), or the source ended early;\n"
      "            2 an invariant is broken: the account says which.");
  command.add_option("NAME", simulate.name, "A name, or the path of a socket, with a slash")->required();
  add_source_options(command, simulate.watch, texts);
  command.add_option("--for,--duration", texts.duration, "How long: 10s, 500ms, 2m. Not given: until SIGINT; a replay to its end")
      ->check(validator(parse_duration))
      ->type_name("TIME");
  command.add_flag("--wait-for-client", simulate.waits_for_client, "The source starts when the first client is there");
  texts.synthetic.push_back(command
                                .add_flag("--lossless", simulate.watch.synthetic.waits_for_room,
                                          "Producers wait while half of their CPU's ring is taken: nothing is dropped")
                                ->group("Synthetic load"));
}

// False: and it was said.
bool can_simulate(const watch_options& watch) {
  if (watch.source.kind == source_kind::file || watch.source.kind == source_kind::image) {
    std::cerr << "sluice: a recording or an image has no machine behind it to serve; sluice watch reads it\n";
    return false;
  }
  if (!watch.snapshot_path.empty()) {
    std::cerr << "sluice: --snapshot is taken by watch and record\n";
    return false;
  }
  return true;
}

void add_filter(CLI::App& app, std::string& path, std::string& name) {
  CLI::App& command = *app.add_subcommand("filter", "What a filter file says; the filter of a kernel that runs elsewhere");
  command.require_subcommand(1);
  CLI::App& check = *command.add_subcommand("check", "Says on stdout what a filter file means, on stderr what is wrong with it");
  check.footer(
      "Exit codes: 0 the file is a filter, or lets everything through (warnings may stand on stderr);\n"
      "            1 it is not: every error is named with line and column.\n"
      "Names of own types are known to the driver only: here they are taken for such, with a warning.");
  check.add_option("FILE", path, "The filter (docs/filter-format.md)")->required();
  const auto add = [&](const char* verb, const char* what) -> CLI::App& {
    CLI::App& sub = *command.add_subcommand(verb, what);
    sub.footer("Exit codes: 0 done; 1 nobody serves under that name, or the filter is refused: it is said why.");
    sub.add_option("--connect", name, "The kernel that `sluice simulate NAME` runs")->type_name("NAME")->required();
    return sub;
  };
  add("show", "Says on stdout which filter a driver has");
  add("set", "Gives a driver a filter, for all of its clients, until it is cleared")
      .add_option("FILE", path, "The filter (docs/filter-format.md)")
      ->required();
  add("clear", "Takes a driver's filter away");
}

command_line::command filter_command(const CLI::App& filter) {
  return filter.got_subcommand("show")    ? command_line::command::show_filter
         : filter.got_subcommand("set")   ? command_line::command::set_filter
         : filter.got_subcommand("clear") ? command_line::command::clear_filter
                                          : command_line::command::check_filter;
}

}  // namespace

command_line parse_command_line(int count, char** arguments) {
  command_line result;
  CLI::App app(description, "sluice");
  app.footer(exit_codes);
  app.set_version_flag("--version", "sluice " SLUICE_VERSION);
  app.require_subcommand(1);
  app.fallthrough(false);
  watch_texts watch, record, simulate;
  add_watch(app, result.watch, watch);
  std::string by = "automatic";
  add_connect(*app.get_subcommand("watch"), result.watch, by);
  add_record(app, result.record, record);
  CLI::App& stats = *app.add_subcommand("stats", "Says what a recording or an image holds, or what a driver counts, on stdout");
  stats.footer(exit_codes);
  CLI::Option* const stats_file =
      stats.add_option("FILE", result.stats_path, "A recording made by sluice record, or an image (docs/image-format.md)");
  stats.add_option("--connect", result.connect, "The kernel that `sluice simulate NAME` runs")->type_name("NAME")->excludes(stats_file);
  std::string stats_format = "text";
  stats.add_option("--format", stats_format, "text, or jsonl (of an image)")
      ->check(validator(parse_format))
      ->type_name("FORMAT")
      ->capture_default_str();
  add_image_options(stats, result.stats_image);
  add_filter(app, result.filter_path, result.connect);
  add_simulate(app, result.simulate, simulate);

  try {
    app.parse(count, arguments);
  } catch (const CLI::ParseError& error) {
    if (error.get_name() == "RequiredError" && count > 1 && app.get_subcommands().empty()) {
      std::cerr
          << "sluice: '" << arguments[1]
          << "' is not a command; there are: watch, record, stats, filter, simulate\nRun with --help for more information.\n";
      result.exit_code = exit_wrong_use;
      return result;
    }
    // CLI11 has a code for each kind of error; ours are part of the tool's contract.
    result.exit_code = app.exit(error, std::cout, std::cerr) == 0 ? exit_ok : exit_wrong_use;
    return result;
  }
  result.record.watch.prints = false;
  result.watch.by = *parse_transport(by).result;
  if (app.got_subcommand("stats") && result.stats_path.empty() && result.connect.empty()) {
    std::cerr << "sluice: stats needs a FILE, or --connect NAME\n";
    result.exit_code = exit_wrong_use;
    return result;
  }
  result.stats_format = *parse_format(stats_format).result;
  if (app.got_subcommand("watch")
          ? !take_values(result.watch, watch, result.watch.connect.empty() ? "10s" : "forever")
          : app.got_subcommand("record") && !take_values(result.record.watch, record, "forever")) {
    result.exit_code = exit_wrong_use;
    return result;
  }
  if (app.got_subcommand("simulate") &&
      (!take_values(result.simulate.watch, simulate, "forever") || !can_simulate(result.simulate.watch))) {
    result.exit_code = exit_wrong_use;
    return result;
  }
  result.simulate.watch.shares_memory = result.simulate.watch.memory_path.empty();
  result.run = app.got_subcommand("watch")      ? command_line::command::watch
               : app.got_subcommand("record")   ? command_line::command::record
               : app.got_subcommand("filter")   ? filter_command(*app.get_subcommand("filter"))
               : app.got_subcommand("simulate") ? command_line::command::simulate
                                                : command_line::command::stats;
  return result;
}

}  // namespace sluice::tool
