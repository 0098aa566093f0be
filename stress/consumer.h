// The checking consumer: merges the rings, hands every record to the checker, checks what each pass left behind (M3), and
// sleeps by the real protocol under a watchdog (W1, W2). One thread, which owns the merge; the others talk to it through
// the atomics below.
#pragma once

#include <memory>

#include "stress/checker.h"
#include "stress/random.h"

namespace sluice::stress {

struct consumer_counts {
  uint64_t passes = 0;
  uint64_t sleeps = 0;
  uint64_t signals = 0;        // sleeps that ended with a signal
  uint64_t set_aside = 0;
  uint64_t stalls = 0;
  uint64_t refusals = 0;
  uint64_t accounts = 0;       // R3 checked while everything ran, CPUs
};

// What all writers together were told: filled by the one who conducts, at rest.
struct expectation {
  tally all{1};
  std::vector<uint64_t> sequences;       // by writer
  std::vector<tally_row> still_open;     // unused rows are zero: by cpu * max_record_types + type, `kept` counts
};

class consumer {
 public:
  virtual ~consumer() = default;
  virtual void start() = 0;
  // Everything is at rest: checks R3 and completeness in the consumer's thread, and returns when it is done.
  virtual void audit(const expectation& expected) = 0;
  // Ends the thread.
  virtual void stop() = 0;
  virtual consumer_counts counts() const = 0;  // after stop
  virtual checker& checked() = 0;              // after stop
  virtual uint64_t emitted() const = 0;        // any time
  // The sum of all CPUs' rows at the last audit, by type.
  virtual const std::vector<account_row>& account() const = 0;
};

// Exact or slack order, by the options.
std::unique_ptr<consumer> make_consumer(rig& on, uint32_t writers);

}  // namespace sluice::stress
