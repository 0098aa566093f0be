// Runs a scenario in relacy: every execution, every one with so many preemptions, or random ones.
#pragma once

#include "tests/model/scenario.h"

namespace sluice::model {

enum class search_kind { full, bound, random };

struct search_options {
  search_kind kind = search_kind::full;
  unsigned context_bound = 3;  // bound: this many preemptions
  uint64_t executions = 0;     // random: how many. full, bound: stop after so many; 0: never
  double seconds = 0;          // full, bound: stop after this time; 0: never
};

struct outcome {
  rl::test_result_e result = rl::test_result_success;
  uint64_t executions = 0;
  bool complete = false;  // all that the search stands for was seen
  double seconds = 0;
  const char* report = "";  // relacy's: what failed, then the execution; until the next search
};

outcome search(const scenario_entry& entry, const search_options& options);

}  // namespace sluice::model
