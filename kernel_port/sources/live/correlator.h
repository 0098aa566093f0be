// From merged Linux records to raised activity: a queue in front of process_tracker. A fork that is not decided yet
// (look_ahead.h) holds back what is younger, so that everything is raised in the order in which it happened; never longer
// than the fork window. No system call, no thread of its own: names and time come through name_source.
//
// One thread.
#pragma once

#include <deque>
#include <optional>
#include <variant>

#include "kernel_port/sources/live/look_ahead.h"
#include "kernel_port/sources/live/process_tracker.h"

namespace sluice::live {

struct correlator_options {
  uint64_t fork_window = 50'000'000;   // nanoseconds: how long a fork may wait for its exec
  uint64_t retry_interval = 200'000;   // nanoseconds between two attempts to read a command line
};

class correlator {
 public:
  correlator(activity_sink& sink, name_source& names, const correlator_options& options, source_statistics& statistics);

  // Once, before the first record. Records older than the snapshot are left out.
  void begin(const process_snapshot& snapshot);

  // In the order of record_merge.
  void observe(linux_record&& record);

  // Raises what is decided. `horizon`: every record older than this has been observed.
  void advance(uint64_t horizon);

  // When to call advance again if no record comes: a time of the records' clock. None: nothing waits.
  std::optional<uint64_t> next_look() const;
  bool waits() const { return !queue_.empty(); }

  // Records younger than this are looked at and not raised.
  void stop_at(uint64_t time) { stop_time_ = time; }
  // Nothing that happened before the stop waits any more.
  bool stopped() const;

  // Records were lost: take a snapshot, and hand it over when everything up to its end was observed. begin_reconciliation
  // stands before the snapshot is taken: what is lost from then on asks for another.
  bool wants_reconciliation() const { return wants_reconciliation_; }
  void begin_reconciliation();
  void reconcile(process_snapshot&& snapshot);

  const process_tracker& processes() const { return tracker_; }
  const look_ahead& watcher() const { return look_ahead_; }

 private:
  using entry = std::variant<observed_record, process_snapshot>;
  void raise(observed_record& observed);

  name_source& names_;
  source_statistics& statistics_;
  look_ahead look_ahead_;
  process_tracker tracker_;
  std::deque<entry> queue_;
  uint64_t begin_time_ = 0;
  std::optional<uint64_t> stop_time_;
  bool wants_reconciliation_ = false;
  uint32_t open_reconciliations_ = 0;
  uint32_t loss_cpu_ = 0;
};

}  // namespace sluice::live
