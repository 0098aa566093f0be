// Runs a sequence of operations on the pipeline and on the model side by side, and compares whatever can be
// seen of both.
#pragma once

#include <stdexcept>

#include "tests/reference/operations.h"

namespace sluice::reference {

// The pipeline and the model disagree.
class disagreement : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What the run as a whole reached; a check that never fills a ring shows little.
struct coverage {
  uint64_t cases = 0, operations = 0, emitted = 0, dropped = 0, announced = 0, spare = 0, late = 0,
           set_aside = 0, overwritten = 0, sink_full = 0, saw_reserved = 0;
};

// Throws disagreement.
void run_side_by_side(const setup& with, const sequence& operations, coverage& reached);

}  // namespace sluice::reference
