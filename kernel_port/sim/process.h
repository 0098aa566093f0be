// Processes and threads of the machine: what PEPROCESS and PETHREAD point to, and the table that finds them
// by id.
#pragma once

#include <map>
#include <set>
#include <unordered_map>

#include "kernel_port/sim/dispatcher.h"
#include "kernel_port/sim/object.h"
#include "kernel_port/sim/scheduled_thread.h"

struct _EPROCESS {
  DISPATCHER_HEADER Header;
  uint32_t pid;
  uint32_t parent_pid;
  uint64_t create_time;
  uint64_t start_key;
  std::atomic<NTSTATUS> exit_status;
  bool implicit;  // nobody created it: an activity said that it runs in it
  bool subsystem;
};

struct _KTHREAD {
  DISPATCHER_HEADER Header;
  PEPROCESS process;  // a reference
  uint32_t pid;
  uint32_t tid;
  uint64_t start_address;
  std::atomic<NTSTATUS> exit_status;
  std::atomic<bool> terminating;
  bool implicit;
  bool system;
};

namespace sluice::sim {

inline constexpr uint32_t system_pid = 4;
// Above every id that Linux gives (2^22), so that live activity never meets the machine's own threads.
inline constexpr uint32_t first_system_tid = 0x01000000;

void destroy_process_object(void* body);
void destroy_thread_object(void* body);

class process_table {
 public:
  ~process_table();

  // Null if the id is in use (for a thread: or the process does not exist). The table holds one reference.
  PEPROCESS add_process(uint32_t pid, uint32_t parent_pid, bool subsystem, bool implicit);
  PETHREAD add_thread(uint32_t pid, uint32_t tid, uint64_t start_address, bool system, bool implicit);
  // A reference for the caller; null if there is none.
  PEPROCESS reference_process(uint32_t pid);
  PETHREAD reference_thread(uint32_t tid);
  void remove_process(PEPROCESS process);
  void remove_thread(PETHREAD thread);
  // Any thread of the process that is not a running host thread's own: what exits with the process.
  std::vector<uint32_t> threads_of(uint32_t pid);
  uint32_t new_system_tid() { return first_system_tid + 4 * next_system_thread_.fetch_add(1); }

  // Of the calling thread's identity; made up if nobody created them.
  PEPROCESS current_process(thread_state& thread);
  PETHREAD current_thread(thread_state& thread);
  void forget_current(thread_state& thread);

 private:
  PETHREAD add_thread_to(PEPROCESS process, uint32_t tid, uint64_t start_address, bool system, bool implicit);

  internal_mutex mutex_;
  std::unordered_map<uint32_t, PEPROCESS> processes_;
  std::unordered_map<uint32_t, PETHREAD> threads_;
  uint64_t next_start_key_ = 1;
  std::atomic<uint32_t> next_system_thread_{1};
};

// thread.cpp
struct system_threads {
  internal_mutex mutex;
  struct entry {
    scheduled_thread host;
    PETHREAD object = nullptr;  // a reference
    driver_record* driver = nullptr;
    const void* routine = nullptr;
    std::atomic<bool> ended{false};
  };
  std::vector<std::unique_ptr<entry>> entries;
};
// Joins and forgets those that have ended.
void reap_system_threads();
// The start routine of a thread of this driver that runs on; null if none does.
const void* find_thread_of(const driver_record* driver, bool any);

}  // namespace sluice::sim
