// What the live source counted. Plain numbers; read whole, by any thread, through live_source::statistics().
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "kernel_port/sources/live/linux_record.h"

namespace sluice::live {

struct source_statistics {
  std::array<uint64_t, record_kind_count> records{};  // read from the perf rings, by record_kind
  uint64_t of(record_kind kind) const { return records[static_cast<size_t>(kind)]; }

  uint64_t lost = 0;             // records the Linux kernel had no room for, announced or not
  uint64_t cpus = 0;             // watched
  uint64_t existing_processes = 0;
  uint64_t existing_threads = 0;

  // Raised.
  uint64_t process_creates = 0;
  uint64_t process_exits = 0;
  uint64_t thread_creates = 0;
  uint64_t thread_exits = 0;
  uint64_t image_loads = 0;
  uint64_t refused = 0;          // by the machine

  // Names.
  uint64_t command_lines_read = 0;      // of processes raised
  uint64_t command_lines_gone = 0;      // the process had gone, or runs another program already
  uint64_t command_lines_inherited = 0; // a fork without exec: its parent's
  uint64_t image_paths_missing = 0;     // of processes raised

  // How Linux differs from NT.
  uint64_t forks_without_exec = 0;      // raised with the image of the parent
  uint64_t forks_timed_out = 0;         // of these: neither exec nor anything else within the window
  uint64_t replaced_programs = 0;       // an exec in a process already raised

  uint64_t found_by_exec = 0;           // processes raised at their exec: their fork had no record

  // Left out.
  uint64_t anonymous_mappings = 0;      // executable, without a file: //anon, [vdso], [heap]
  uint64_t outside_namespace = 0;       // tasks of pid namespaces that this process does not see
  uint64_t unknown_tasks = 0;           // records of tasks that were never announced (after a loss)
  uint64_t before_start = 0;            // records already covered by the snapshot
  uint64_t after_stop = 0;              // records younger than the stop

  uint64_t out_of_order = 0;            // became visible later than a younger, unrelated one
  uint64_t reconciliations = 0;         // snapshots taken after a loss
  uint64_t reconciled = 0;              // creates and exits found by them
  uint64_t longest_queue = 0;           // records waiting for the end of a fork

  // From the time of the Linux record to its callback: bucket n counts delays below 2^n microseconds, the last all others.
  static constexpr size_t delay_buckets = 32;
  std::array<uint64_t, delay_buckets> delays{};
  uint64_t longest_delay = 0;           // nanoseconds
  void add_delay(uint64_t nanoseconds);
  // The delay that `share` (0..1) of all stayed below, microseconds.
  uint64_t delay_below(double share) const;

  // For people: one line each.
  std::vector<std::string> summary() const;
};

}  // namespace sluice::live
