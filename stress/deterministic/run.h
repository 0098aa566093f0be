// One deterministic run: a machine, the driver and everybody who uses it, by one seed. docs/deterministic.md
#pragma once

#include <cstdint>

namespace sluice::stress {

struct run_result {
  uint64_t fingerprint;  // of every switch, every moment and every event: equal for the same seed
  uint64_t switches;
  uint64_t points;
  uint64_t records;      // read through the device
};

// A broken invariant, a rule of NT that is broken, or a run that does not end, ends the process (report.h, bug checks).
// `left_out_store`: for the tests of this program; the driver's n-th releasing store to a shared word is not made. 0: all are.
run_result run_deterministic(uint64_t seed, bool trace, uint64_t left_out_store = 0);

}  // namespace sluice::stress
