// Runs the model's scenarios: model_test [options] [scenario ...]; see usage.
//
// Exit code: 0 all scenarios did what they must, 1 one did not, 2 wrong use. Results on stdout, one line a
// scenario.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/model/search.h"

namespace sluice::model {
namespace {

constexpr const char* usage =
    "model_test [--list] [--full | --short | --deep N | --bound N | --random N] [--limit N] [--first] [--trace] "
    "[scenario ...]\n"
    "  --full      every execution of the scenario (default)\n"
    "  --short     the same where that takes seconds; elsewhere every execution with few preemptions\n"
    "  --deep N    the same if N seconds are enough for it; otherwise every execution with as many preemptions as one\n"
    "              search of N seconds can end\n"
    "  --bound N   every execution with at most N preemptions\n"
    "  --random N  N random executions\n"
    "  --limit N   give up after N executions; the result then says so\n"
    "  --first     end at the first scenario that fails\n"
    "  --trace     print the execution that failed\n"
    "  A scenario is a whole name of --list or what a name begins with; none: all of them.\n";

const char* name_of(barrier_kind kind) {
  switch (kind) {
    case barrier_kind::none:
      return "-";
    case barrier_kind::fences:
      return "fences";
    case barrier_kind::interrupt:
      return "interrupt";
  }
  return "?";
}

bool parse_number(const char* text, uint64_t& number) {
  if (text == nullptr || *text < '0' || *text > '9') return false;
  char* end = nullptr;
  number = strtoull(text, &end, 10);
  return *end == 0;
}

// The line of relacy's report that says what went wrong.
void print_reason(const outcome& result) {
  const char* text = result.report;
  const char* const end = strchr(text, '\n');
  const int length = end != nullptr ? static_cast<int>(end - text) : static_cast<int>(strlen(text));
  printf("%.*s", length, text);
}

// All executions, or those with the most preemptions for which a search ends in time. `options` becomes what was searched.
outcome search_deep(const scenario_entry& entry, search_options& options) {
  outcome best = search(entry, options);
  if (best.complete || best.result != rl::test_result_success) return best;
  search_options bounded = options;
  bounded.kind = search_kind::bound;
  for (bounded.context_bound = 1;; ++bounded.context_bound) {
    const outcome next = search(entry, bounded);
    if (!next.complete && next.result == rl::test_result_success) return best;
    best = next;
    options = bounded;
    if (next.result != rl::test_result_success) return best;
  }
}

bool run_one(const scenario_entry& entry, search_options options, bool short_form, bool trace) {
  if (options.seconds != 0 && entry.expected == expectation::shows) {
    options.seconds = 0;
    short_form = true;
  }
  if (short_form && entry.short_bound != every_execution) {
    options.kind = search_kind::bound;
    options.context_bound = entry.short_bound;
  }
  const outcome result = options.seconds != 0 ? search_deep(entry, options) : search(entry, options);
  const bool held = result.result == rl::test_result_success;
  const bool shown = result.result == rl::test_result_user_assert_failed;
  const bool good = entry.expected == expectation::holds ? held : shown;
  printf("%-38s %-9s ", entry.name, name_of(entry.barriers));
  if (held) {
    char extent[32];
    if (options.kind == search_kind::random) {
      snprintf(extent, sizeof extent, "random");
    } else if (!result.complete) {
      snprintf(extent, sizeof extent, "stopped");
    } else if (options.kind == search_kind::full) {
      snprintf(extent, sizeof extent, "all");
    } else {
      snprintf(extent, sizeof extent, "preemptions<=%u", options.context_bound);
    }
    printf("%s %-14s", good ? "holds" : "NOT SHOWN", extent);
  } else {
    printf("%s ", good ? "shown" : "FAILED:");
    print_reason(result);
  }
  printf(" executions=%llu seconds=%.1f\n", static_cast<unsigned long long>(result.executions),
         result.seconds);
  if (trace && !held) printf("%s\n", result.report);
  fflush(stdout);
  return good;
}

int run(int count, char** arguments) {
  search_options options;
  bool short_form = false;
  bool first_only = false;
  bool trace = false;
  const char* names[64];
  int name_count = 0;
  for (int i = 1; i < count; ++i) {
    const char* const argument = arguments[i];
    const char* const value = i + 1 < count ? arguments[i + 1] : nullptr;
    uint64_t number = 0;
    if (strcmp(argument, "--list") == 0) {
      for (const scenario_entry* entry = first_scenario; entry != nullptr; entry = entry->next)
        puts(entry->name);
      return 0;
    }
    if (strcmp(argument, "--trace") == 0) {
      trace = true;
    } else if (strcmp(argument, "--short") == 0) {
      short_form = true;
    } else if (strcmp(argument, "--first") == 0) {
      first_only = true;
    } else if (strcmp(argument, "--full") == 0) {
      options.kind = search_kind::full;
    } else if (strcmp(argument, "--bound") == 0 || strcmp(argument, "--deep") == 0 || strcmp(argument, "--random") == 0 ||
               strcmp(argument, "--limit") == 0) {
      if (!parse_number(value, number)) {
        fprintf(stderr, "model_test: %s needs a number\n%s", argument, usage);
        return 2;
      }
      ++i;
      if (argument[2] == 'b') {
        options.kind = search_kind::bound;
        options.context_bound = static_cast<unsigned>(number);
      } else if (argument[2] == 'd') {
        options.seconds = static_cast<double>(number);
      } else {
        options.executions = number;
        if (argument[2] == 'r') options.kind = search_kind::random;
      }
    } else if (argument[0] == '-' || name_count == 64) {
      fprintf(stderr, "model_test: unknown option or too many names: %s\n%s", argument, usage);
      return 2;
    } else {
      names[name_count++] = argument;
    }
  }

  bool good = true;
  bool matched_any = name_count == 0;
  for (const scenario_entry* entry = first_scenario; entry != nullptr; entry = entry->next) {
    bool wanted = name_count == 0;
    for (int i = 0; i < name_count; ++i) wanted |= strncmp(entry->name, names[i], strlen(names[i])) == 0;
    if (!wanted) continue;
    matched_any = true;
    if (first_only && !good) break;
    good &= run_one(*entry, options, short_form, trace);
  }
  if (!matched_any) {
    fprintf(stderr, "model_test: no such scenario; --list names them\n");
    return 2;
  }
  return good ? 0 : 1;
}

}  // namespace
}  // namespace sluice::model

int main(int count, char** arguments) {
  return sluice::model::run(count, arguments);
}
