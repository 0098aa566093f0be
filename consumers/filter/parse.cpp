#include <fmt/format.h>

#include <algorithm>

#include "consumers/filter/configuration.h"
#include "consumers/filter/table_reader.h"
#include "consumers/filter/values.h"
#include "producers/filter_message.h"

namespace sluice::filter {
namespace {

constexpr const char* types_example = "[\"process\", \"registry_set_value\"]";
constexpr uint64_t nanoseconds_of_millisecond = 1'000'000;

class parser {
 public:
  explicit parser(diagnostics& found) : found_(found) {}

  configuration read(const toml::table& file) {
    table_reader root(file, {}, found_);
    result_.types = types(root, "types");
    if (const toml::table* const one = root.table("processes", "[processes]")) processes(*one);
    if (const toml::table* const one = root.table("images", "[images]")) {
      paths(*one, "images", "['\\Device\\HarddiskVolume3\\Windows']", parse_image, result_.images);
    }
    if (const toml::table* const one = root.table("keys", "[keys]")) {
      paths(*one, "keys", "['\\REGISTRY\\MACHINE\\SOFTWARE']", parse_key, result_.keys);
    }
    if (const toml::table* const one = root.table("repeats", "[repeats]")) repeats(*one);
    for (const toml::table* const one : root.tables("type_rate", "[[type_rate]]")) type_rate(*one);
    if (const toml::table* const one = root.table("process_rate", "[process_rate]")) process_rate(*one);
    root.finish();
    return std::move(result_);
  }

 private:
  std::optional<type_list> types(table_reader& table, std::string_view key) {
    const std::optional<table_reader::string_list> list = table.strings(key, types_example);
    if (!list) return std::nullopt;
    if (list->list.empty()) {
      found_.error(position_of(list->list), "an empty list of types: name one at least; without this line all are meant");
    }
    type_list result{{}, position_of(list->list)};
    for (const located<std::string>& entry : list->entries) result.words.push_back({entry.value, entry.at});
    return result;
  }

  // Where a list of types is not optional.
  type_list required_types(table_reader& reader, const toml::table& table, std::string_view name) {
    std::optional<type_list> result = types(reader, "types");
    if (!result && table.get("types") == nullptr) {
      found_.error(position_of(table), fmt::format("{} does not say for which events: types = {}", name, types_example));
    }
    return result.value_or(type_list{{}, {}});
  }

  void processes(const toml::table& table) {
    table_reader reader(table, "processes", found_);
    result_.process_types = types(reader, "types");
    for (const bool exclude : {false, true}) {
      const char* const key = exclude ? "exclude" : "include";
      const toml::array* const entries = reader.list(key, "[4711, {pid = 812, descendants = false}]");
      if (entries == nullptr) continue;
      if (!exclude) refuse_empty(*entries, "processes");
      for (const toml::node& entry : *entries) process(entry, exclude, fmt::format("processes.{}", key));
    }
    reader.finish();
    if (result_.processes.empty() && table.get("include") == nullptr && table.get("exclude") == nullptr) {
      found_.warning(position_of(table), "[processes] has neither include nor exclude: it changes nothing");
      result_.process_types.reset();
    }
  }

  void process(const toml::node& entry, bool exclude, const std::string& name) {
    std::optional<int64_t> pid;
    bool descendants = true;
    if (const toml::table* const table = entry.as_table()) {
      table_reader reader(*table, name, found_);
      if (const auto number = reader.integer("pid", 0, max_filter_process_id, "4711")) pid = number->value;
      if (const auto wanted = reader.boolean("descendants")) descendants = wanted->value;
      reader.finish();
      if (table->get("pid") == nullptr) {
        found_.error(position_of(entry), fmt::format("this rule of {} names no process: {{pid = 4711, descendants = false}}", name));
      }
    } else {
      pid = table_reader::number(entry, name, 0, max_filter_process_id, "4711 or {pid = 4711, descendants = false}", found_);
    }
    if (!pid) return;
    if (*pid == 0 && descendants) {
      found_.error(position_of(entry), "0 is no process that has descendants; {pid = 0, descendants = false} stands for images "
                                       "that are drivers");
      return;
    }
    result_.processes.push_back({static_cast<uint32_t>(*pid), exclude, descendants, position_of(entry)});
  }

  void paths(const toml::table& table, const std::string& name, const char* example,
             parsed<std::u16string> (*parse_path)(std::string_view), std::vector<path_rule>& result) {
    table_reader reader(table, name, found_);
    for (const bool exclude : {false, true}) {
      const char* const key = exclude ? "exclude" : "include";
      const std::optional<table_reader::string_list> list = reader.strings(key, example);
      if (!list) continue;
      if (!exclude) refuse_empty(list->list, name);
      for (const located<std::string>& entry : list->entries) {
        parsed<std::u16string> path = parse_path(entry.value);
        if (!path.result) {
          found_.error(entry.at, std::move(path.error));
          continue;
        }
        if (!path.warning.empty()) found_.warning(entry.at, std::move(path.warning));
        result.push_back({std::move(*path.result), exclude, entry.at});
      }
    }
    reader.finish();
    if (table.get("include") == nullptr && table.get("exclude") == nullptr) {
      found_.warning(position_of(table), fmt::format("[{}] has neither include nor exclude: it changes nothing", name));
    }
  }

  // Nothing of it, or everything: whoever reads it cannot know.
  void refuse_empty(const toml::array& include, std::string_view name) {
    if (!include.empty()) return;
    found_.error(position_of(include),
                 fmt::format("an empty {}.include would let nothing through; without this line everything is let through", name));
  }

  void repeats(const toml::table& table) {
    table_reader reader(table, "repeats", found_);
    configuration::repeats repeat{required_types(reader, table, "[repeats]"), 0};
    const std::optional<located<std::string>> text = reader.string("window", "\"5s\"");
    if (table.get("window") == nullptr) {
      found_.error(position_of(table), "[repeats] does not say within what time an event is a repeat: window = \"5s\"");
    }
    reader.finish();
    if (!text) return;
    parsed<uint64_t> window = parse_interval(text->value);
    if (!window.result) {
      found_.error(text->at, std::move(window.error));
      return;
    }
    if (*window.result % nanoseconds_of_millisecond != 0 ||
        *window.result > max_repeat_window_ms * nanoseconds_of_millisecond) {
      found_.error(text->at, fmt::format("{} is out of range for repeats.window: whole milliseconds, 1ms to {}", show_interval(*window.result),
                                         show_interval(max_repeat_window_ms * nanoseconds_of_millisecond)));
      return;
    }
    repeat.window_ms = static_cast<uint32_t>(*window.result / nanoseconds_of_millisecond);
    if (table.get("types") != nullptr) result_.repeat = std::move(repeat);
  }

  // None: it was wrong, or is not there, and that was said.
  std::optional<rate_limit> rate(table_reader& reader, const toml::table& table, std::string_view name) {
    const auto per_second = reader.integer("per_second", 0, max_events_per_second, "1000");
    const auto burst = reader.integer("burst", 1, max_burst, "2000");
    if (table.get("per_second") == nullptr) {
      found_.error(position_of(table), fmt::format("{} does not say how many events a second: per_second = 1000", name));
    }
    if (!per_second || (!burst && table.get("burst") != nullptr)) return std::nullopt;
    if (per_second->value == 0) {
      found_.error(per_second->at, burst ? "0 events a second, but a burst: nothing would ever fill it again; for no event at all "
                                           "leave the type out of types"
                                         : "0 events a second: for no event at all leave the type out of types");
      return std::nullopt;
    }
    const int64_t most = burst ? burst->value : std::min<int64_t>(per_second->value, max_burst);
    return rate_limit{static_cast<uint32_t>(per_second->value), static_cast<uint32_t>(most)};
  }

  void type_rate(const toml::table& table) {
    table_reader reader(table, "type_rate", found_);
    type_list list = required_types(reader, table, "[[type_rate]]");
    const std::optional<rate_limit> limit = rate(reader, table, "[[type_rate]]");
    reader.finish();
    if (limit && table.get("types") != nullptr) result_.type_rates.push_back({std::move(list), *limit, position_of(table)});
  }

  void process_rate(const toml::table& table) {
    table_reader reader(table, "process_rate", found_);
    std::optional<type_list> list = types(reader, "types");
    const std::optional<rate_limit> limit = rate(reader, table, "[process_rate]");
    reader.finish();
    if (limit) result_.process_rate = configuration::process_rates{std::move(list), *limit};
  }

  diagnostics& found_;
  configuration result_;
};

// TOML's own errors; the parser stops at the first.
void tell(const toml::parse_error& error, diagnostics& found) {
  const std::string_view what = error.description();
  std::string hint;
  if (what.find("escape") != std::string_view::npos) hint = "; in \"...\" a backslash begins an escape: write paths as '...'";
  const toml::source_position begin = error.source().begin;
  found.error({begin.line, begin.column}, fmt::format("this is not TOML: {}{}", harmless(what), hint));
}

}  // namespace

configuration parse(std::string_view text, diagnostics& found) {
  try {
    return parser(found).read(toml::parse(text));
  } catch (const toml::parse_error& error) {
    tell(error, found);
    return {};
  }
}

}  // namespace sluice::filter
