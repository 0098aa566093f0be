#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "consumers/filter/path_check.h"
#include "consumers/filter/rules.h"
#include "consumers/nearest.h"

namespace sluice::filter {
namespace {

constexpr uint64_t registry_types = uint64_t{0x3f} << event_type_registry_create_key;
constexpr uint64_t image_types = uint64_t{1} << event_type_image_load | uint64_t{1} << event_type_process_create;

class checker {
 public:
  checker(type_names& names, own_types own, diagnostics& found) : names_(names), own_(own), found_(found) {}

  rules check(const configuration& said) {
    if (said.types) wanted_types(*said.types);
    processes(said);
    paths("images", said.images, image_types, result_.images);
    paths("keys", said.keys, registry_types, result_.keys);
    if (said.repeat) {
      result_.repeat_types = look_up(said.repeat->types);
      result_.repeat_window_ms = said.repeat->window_ms;
      never_applies(said.repeat->types.at, "repeats", result_.repeat_types);
    }
    for (const type_rate_rule& rule : said.type_rates) type_rate(rule);
    if (said.process_rate) {
      const std::optional<type_list>& types = said.process_rate->types;
      result_.process_rate = said.process_rate->rate;
      result_.process_rate_types = types ? look_up(*types) : ~uint64_t{0};
      if (types) never_applies(types->at, "process_rate", result_.process_rate_types);
    }
    return std::move(result_);
  }

 private:
  uint64_t look_up(const type_list& list) {
    uint64_t all = 0;
    for (const type_word& word : list.words) {
      const uint64_t types = look_up(word);
      if (types != 0 && (types & ~all) == 0) {
        found_.error(word.at, fmt::format("{} is in this list already; once is enough", quoted(word.name)));
      }
      all |= types;
    }
    return all;
  }

  uint64_t look_up(const type_word& word) {
    if (const uint64_t types = names_.find(word.name)) return types;
    const std::string_view near = nearest(word.name, names_.all());
    const std::string meant = near.empty() ? "" : fmt::format(", is '{}' meant?", near);
    if (own_ == own_types::unknown && is_name(word.name)) {
      if (const uint64_t types = names_.assume(word.name)) {
        found_.warning(word.at, fmt::format("{} is no event of the library{}{} taken for an own type, which only its driver knows",
                                            quoted(word.name), meant, meant.empty() ? ";" : ""));
        return types;
      }
      found_.error(word.at, fmt::format("{} is one own type more than a driver can have", quoted(word.name)));
      return 0;
    }
    found_.error(word.at, fmt::format("{} is not an event type{}{} there are: {}", quoted(word.name), meant,
                                      meant.empty() ? ";" : "", names_.known()));
    return 0;
  }

  static bool is_name(std::string_view word) {
    return !word.empty() && word.size() <= max_name_length &&
           std::all_of(word.begin(), word.end(), [](char c) { return c > ' ' && c <= '~'; });
  }

  void wanted_types(const type_list& list) {
    const uint64_t asked = look_up(list);
    if (asked == 0) return;  // what is wrong with it was said
    // Also types that nobody has registered yet, where everything is asked for that there can be.
    const bool all = (asked & every_group()) == every_group();
    result_.types = all ? ~uint64_t{0} : asked | ~all_events;
  }
  static uint64_t every_group() {
    uint64_t all = 0;
    for (const char* group : {"process", "thread", "image", "registry", "own"}) all |= library_types(group);
    return all;
  }

  void processes(const configuration& said) {
    std::unordered_map<uint32_t, const process_rule*> rules;
    for (const process_rule& rule : said.processes) {
      const auto [before, added] = rules.try_emplace(rule.pid, &rule);
      if (!added) {
        found_.error(rule.at, before->second->exclude != rule.exclude
                                  ? fmt::format("process {} is both included (line {}) and excluded", rule.pid,
                                                (rule.exclude ? before->second : &rule)->at.line)
                                  : fmt::format("process {} is in this list already, in line {}", rule.pid, before->second->at.line));
        continue;
      }
      if (rule.pid == 4 && rule.descendants) {
        found_.warning(rule.at, "on Windows every process descends from 4 (System), as long as its ancestors can be told");
      }
      result_.processes.push_back(rule);
    }
    if (said.processes.size() > max_filter_processes) {
      found_.error(said.processes[max_filter_processes].at,
                   fmt::format("{} processes are too many: a filter has {} at most", said.processes.size(), max_filter_processes));
    }
    if (!said.process_types) return;
    result_.process_types = look_up(*said.process_types);
    never_applies(said.process_types->at, "processes", result_.process_types);
  }

  void paths(std::string_view name, const std::vector<path_rule>& said, uint64_t types, std::vector<path_rule>& result) {
    if (said.empty()) return;
    if ((result_.types & types) == 0) {
      found_.warning(said.front().at, fmt::format("these {} never apply: types has none of {}", name, names_.show(types)));
    }
    if (said.size() > max_filter_paths) {
      found_.error(said[max_filter_paths].at,
                   fmt::format("{} {} are too many: a filter has {} at most", said.size(), name, max_filter_paths));
    }
    check_paths(said, types == image_types, found_);
    result = said;
    if (types != registry_types) return;
    for (const path_rule& rule : result) {
      if (rule.path.size() == std::u16string_view(u"\\REGISTRY").size()) found_.warning(rule.at, "every key begins with '\\REGISTRY'; registry events as a whole are chosen by types");
    }
  }

  void type_rate(const type_rate_rule& rule) {
    for (const type_word& word : rule.types.words) {
      const uint64_t types = look_up(word);
      for (uint16_t type = first_event_type; type < max_record_types; ++type) {
        if ((types & bit_of(type)) == 0 || result_.type_rates.try_emplace(type, rule.rate).second) continue;
        found_.error(word.at, fmt::format("{} has a rate already: a type has one, whatever group it is named by", names_.show(bit_of(type))));
        break;
      }
      never_applies(word.at, "type_rate", types);
    }
  }

  void never_applies(position at, std::string_view name, uint64_t types) {
    if (types != 0 && (types & result_.types & all_events) == 0) {
      found_.warning(at, fmt::format("this never applies: {} is about {}, none of which is in types", name, names_.show(types)));
    }
  }

  type_names& names_;
  const own_types own_;
  diagnostics& found_;
  rules result_;
};

}  // namespace

rules check(const configuration& said, type_names& names, own_types own, diagnostics& found) {
  return checker(names, own, found).check(said);
}

}  // namespace sluice::filter
