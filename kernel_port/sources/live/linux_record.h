// One record of perf_event_open(2), as far as the live source needs it. Which fields are set depends on the kind.
#pragma once

#include <cstdint>
#include <string>

namespace sluice::live {

enum class record_kind : uint8_t {
  fork,          // pid, tid: the new task; parent_pid, parent_tid: the task that forked
  exit,          // pid, tid: the task that ends
  name,          // comm; `exec` tells that an execve gave the name
  mapping,       // pid, tid, address, length, text = path
  lost,          // lost = how many records the kernel had no room for
  lost_samples,  // the same, for samples
  throttle,      // throttle and unthrottle
  unknown,       // any other type: skipped by its size
};
inline constexpr uint32_t record_kind_count = 8;
const char* name_of(record_kind kind);

struct linux_record {
  record_kind kind = record_kind::unknown;
  bool exec = false;
  uint32_t cpu = 0;
  uint64_t time = 0;  // CLOCK_MONOTONIC, nanoseconds
  int32_t pid = 0;    // as this process's pid namespace numbers it; 0 or -1: not in it
  int32_t tid = 0;
  int32_t parent_pid = 0;
  int32_t parent_tid = 0;
  uint64_t address = 0;
  uint64_t length = 0;
  uint64_t lost = 0;
  std::string text;

  bool is_thread_fork() const { return kind == record_kind::fork && pid == parent_pid; }
  bool is_process_fork() const { return kind == record_kind::fork && pid != parent_pid; }
  bool is_exec() const { return kind == record_kind::name && exec; }
};

}  // namespace sluice::live
