// Raises records, one after another, and knows what lives: which processes, with which threads, running what. Linux tells
// of tasks; from them follow NT's threads and processes (docs/live-source.md has the table). One thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>
#include <unordered_set>

#include "kernel_port/sources/live/activity_sink.h"
#include "kernel_port/sources/live/look_ahead.h"
#include "kernel_port/sources/live/proc_snapshot.h"
#include "kernel_port/sources/live/statistics.h"

namespace sluice::live {

class process_tracker {
 public:
  process_tracker(activity_sink& sink, source_statistics& statistics) : sink_(sink), statistics_(statistics) {}

  // What lived before the first record. Records up to the snapshot's end may tell of it again.
  void begin(const process_snapshot& snapshot);

  // `observed` is decided.
  void raise(const observed_record& observed);

  // After a loss: from now on ends are remembered, until reconcile compares with a snapshot taken later, all of whose
  // time has been raised. What the lost records would have told is raised then, on `cpu`. `again`: more was lost meanwhile.
  void expect_reconciliation() { expecting_ = true; }
  void reconcile(const process_snapshot& snapshot, uint32_t cpu, bool again);

  bool knows(int32_t pid) const { return processes_.contains(pid); }
  size_t size() const { return processes_.size(); }

 private:
  struct process {
    uint64_t since = 0;
    uint64_t snapshot_end = 0;  // known from a snapshot that ended then; 0: from its fork
    std::map<int32_t, uint64_t> threads;  // tid, and since when
    std::shared_ptr<program> running;
  };
  static process process_of(const snapshot_process& found, uint64_t snapshot_end);
  using process_map = std::unordered_map<int32_t, process>;

  void fork_process(const linux_record& record, const birth& forked);
  void fork_thread(const linux_record& record);
  void exec(const linux_record& record, const std::shared_ptr<program>& executed);
  void map(const linux_record& record);
  void exit(const linux_record& record);

  void count_name(const program& executed);
  void create(const activity_place& place, int32_t pid, int32_t parent_pid, const program* running);
  void end(const activity_place& place, process_map::iterator found);
  void compare_threads(process_map::iterator known, const snapshot_process& now, uint64_t begin, uint32_t cpu);
  void create_thread(const activity_place& place, int32_t pid, int32_t tid);
  void exit_thread(const activity_place& place, int32_t pid, int32_t tid);

  activity_sink& sink_;
  source_statistics& statistics_;
  process_map processes_;
  bool expecting_ = false;
  std::unordered_set<int32_t> ended_tasks_;  // while expecting_
};

}  // namespace sluice::live
