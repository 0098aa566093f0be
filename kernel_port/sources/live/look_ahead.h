// Linux makes a process in two steps, fork and exec; NT in one. So a fork is held until it is known what it becomes:
//
//   exec by the child                    a process running that program
//   exit, fork or new thread by it       a process running its parent's program
//   nothing of these within the window   the same
//
// An exec by a process whose fork was never seen (after a loss; some forks have no record) waits in the same way, for its
// program to be known.
//
// look_ahead sees every record as soon as it is in order, before it is raised, and reads the command line at once: a
// short-lived process is gone in a millisecond.
//
// Whose command line was it? The pid could have been given to another process (its start time tells: a process that
// started after the exec is another one), or the process could have called exec once more (its record tells: it was
// visible before the command line that was read, so that every record older than the end of the read must have been
// seen before the line is believed).
//
// One thread.
#pragma once

#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "kernel_port/sources/live/linux_record.h"
#include "kernel_port/sources/live/name_source.h"
#include "kernel_port/sources/live/program.h"

namespace sluice::live {

// What became of a fork.
struct birth {
  enum class outcome { open, exec, fork, timed_out };
  outcome result = outcome::open;
  uint64_t time = 0;
  std::shared_ptr<program> executed;  // for exec
};

struct observed_record {
  linux_record record;
  std::shared_ptr<birth> forked;      // for the fork of a process
  std::shared_ptr<program> executed;  // for an exec
  bool unannounced = false;           // an exec by a process that nobody knows: it is raised now
};

class look_ahead {
 public:
  look_ahead(name_source& names, uint64_t fork_window, uint64_t retry_interval)
      : names_(names), fork_window_(fork_window), retry_interval_(retry_interval) {}

  // Forks of this process (kthreadd) never call exec.
  void set_kernel_parent(int32_t pid) { kernel_parent_ = pid; }

  // Records in causal order.
  observed_record observe(linux_record&& record);

  // Reads command lines that were not there yet. `horizon`: every record older than this has been observed.
  void retry(uint64_t horizon);

  // Whether `observed` can be raised. Past its window a fork is decided in any case.
  bool decide(const observed_record& observed, uint64_t horizon);
  // When decide or retry may have something to say without a new record.
  std::optional<uint64_t> next_look(const observed_record& front) const;

  // The process that had this pid ended at `time`.
  void forget(int32_t pid, uint64_t time);
  size_t watched() const { return watched_.size(); }

 private:
  struct watched_process {
    uint64_t since = 0;
    std::shared_ptr<birth> forked;
    std::shared_ptr<program> current;  // the last exec seen
  };

  void settle(int32_t pid);
  void observe_exec(observed_record& observed);
  void observe_mapping(const linux_record& record);
  void observe_exit(const linux_record& record);
  bool decide_program(program& executed, uint64_t horizon);
  void read_name(program& program);
  void give_up_name(program& program);

  name_source& names_;
  uint64_t fork_window_;
  uint64_t retry_interval_;
  int32_t kernel_parent_ = 0;
  std::unordered_map<int32_t, watched_process> watched_;
  std::vector<std::shared_ptr<program>> unnamed_;
};

// What kind of executable mapping a path of PERF_RECORD_MMAP2 stands for.
enum class mapping_kind { file, file_without_path, anonymous };
mapping_kind mapping_kind_of(const std::string& path);

}  // namespace sluice::live
