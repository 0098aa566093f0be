// Random sequences of operations: the pipeline must agree with the model of plain queues. See usage.
//
// Exit code: 0 agreement, 1 disagreement (the shortest sequence found stands on stderr), 2 wrong use.
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <sstream>

#include "tests/reference/side_by_side.h"

namespace {

using namespace sluice::reference;

constexpr const char* usage =
    "reference_test [--seed N] [--cases N] [--operations N]\n"
    "  --seed N        what the cases are made from (default 1; `time`: from the clock). The same seed gives "
    "the same cases\n"
    "  --cases N       how many (default 2000)\n"
    "  --operations N  at most, in one case; a write or a reservation can stand for up to 90 (default 200)\n";

struct options {
  uint64_t seed = 1;
  uint64_t cases = 2000;
  uint64_t operations = 200;
};

bool parse(int count, char** arguments, options& into) {
  for (int i = 1; i < count; i += 2) {
    const std::string_view name = arguments[i];
    uint64_t* const value = name == "--seed"         ? &into.seed
                            : name == "--cases"      ? &into.cases
                            : name == "--operations" ? &into.operations
                                                     : nullptr;
    if (value == nullptr || i + 1 == count) return false;
    const std::string_view text = arguments[i + 1];
    if (value == &into.seed && text == "time") {
      into.seed =
          static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()) % 1000000007;
      continue;
    }
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
    if (error != std::errc() || end != text.data() + text.size()) return false;
  }
  return into.cases <= 1000000000 && into.operations <= 1000000;
}

}  // namespace

int main(int count, char** arguments) {
  options with;
  if (!parse(count, arguments, with)) {
    std::cerr << "reference_test: wrong use\n" << usage;
    return 2;
  }
  std::ostringstream parameters;
  parameters << "seed=" << with.seed << " max_success=" << with.cases << " max_size=" << with.operations;
  setenv("RC_PARAMS", parameters.str().c_str(), 1);
  std::cout << "reference: seed " << with.seed << ", " << with.cases << " cases of at most "
            << with.operations << " operations" << std::endl;

  coverage reached;
  setup failing_setup;
  sequence failing;
  std::string how;
  uint64_t failures = 0;
  uint64_t first_failing = 0;
  const bool agreed = rc::check("the pipeline agrees with the model", [&] {
    setup cases = *any_setup();
    if (cases.overwrites) cases.set_aside_after = 0;  // what is announced of those is a bound (O3, pipeline/tail.h)
    const sequence operations = *any_sequence();
    try {
      run_side_by_side(cases, operations, reached);
    } catch (const std::exception& problem) {
      failing_setup = cases;
      failing = operations;
      how = problem.what();
      if (failures++ == 0) first_failing = reached.cases + 1;
      RC_FAIL(how);
    }
  });
  if (!agreed) {
    // The last sequence that failed is the shortest one.
    std::cerr << "\nDISAGREEMENT in case " << first_failing << " (seed " << with.seed << "), shrunk to "
              << failing.size() << " operations:\n";
    showValue(failing_setup, std::cerr);
    std::cerr << '\n';
    show(failing, std::cerr);
    std::cerr << how << std::endl;
    return 1;
  }
  std::cout << "agreement: " << reached.operations << " operations, " << reached.emitted << " records out, "
            << reached.dropped << " dropped, " << reached.announced << " LOSS records, " << reached.spare
            << " in a spare lane, " << reached.set_aside << " set aside, " << reached.overwritten << " announced as overwritten, " << reached.late
            << " late, sink full " << reached.sink_full << " times, stopped by a record without a time "
            << reached.saw_reserved << " times" << std::endl;
  for (const uint64_t figure : {reached.emitted, reached.dropped, reached.announced, reached.spare,
                                reached.set_aside, reached.overwritten, reached.late, reached.sink_full, reached.saw_reserved}) {
    if (figure == 0 && with.cases >= 1000 && with.operations >= 100) {
      std::cerr << "reference_test: one of these never happened: the cases show too little" << std::endl;
      return 1;
    }
  }
  return 0;
}
