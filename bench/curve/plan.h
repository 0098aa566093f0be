// Which points are measured.
#pragma once

#include <string>
#include <vector>

#include "bench/curve/lttng.h"

namespace sluice::bench {

enum class curve_effort { check, quick, usual, full };

struct plan_options {
  curve_effort how = curve_effort::usual;
  std::vector<std::string> only;  // parts; none: all
  std::vector<std::string> recordings;  // directories of them
};

// False: something was violated or failed; said on stderr.
bool run_plan(const plan_options& options);

}  // namespace sluice::bench
