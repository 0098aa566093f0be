// What a host thread is to the machine: its IRQL, its virtual CPU, its regions without APCs. Thread-local, a
// few instructions to reach; the part that other threads read is in host_thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include <ntifs.h>

#include "kernel_port/sim/sanitizers.h"

namespace sluice::sim {

struct processor;
struct driver_record;
struct notify_slot;
struct registry_callback;
struct host_thread;

// The IRQL of a host thread that holds no activity: no kernel code may run on it.
inline constexpr KIRQL irql_unattached = 0xff;

struct thread_state {
  KIRQL irql = irql_unattached;
  uint8_t in_dpc = 0;
  bool paged_in = false;  // brought paged memory in since it last raised to DISPATCH_LEVEL
  bool in_interprocessor = false;
  std::atomic<uint8_t> requests{0};  // request_*: checked wherever APCs become possible again
  uint32_t critical = 0;             // KeEnterCriticalRegion: normal kernel APCs off
  uint32_t guarded = 0;              // KeEnterGuardedRegion: all APCs off
  uint32_t inside = 0;               // internal_section: in the simulation itself
  uint32_t cpu_index = 0;
  processor* cpu = nullptr;
  host_thread* host = nullptr;
  driver_record* driver = nullptr;  // on whose behalf this code runs; null: the test's or the machine's own
  PEPROCESS process = nullptr;      // of the current identity, resolved when first asked for
  PETHREAD thread = nullptr;
  PEPROCESS attached = nullptr;     // KeStackAttachProcess: whose address space it is in; null: its own
  uint64_t random = 0;  // the scheduler's, when it perturbs
  uint32_t notify_depth = 0;
  notify_slot* notify_active[8] = {};  // routines this thread is inside of
  const registry_callback* registry_active = nullptr;  // the innermost registry callback this thread is inside of
  void* termination = nullptr;         // jmp_buf of a system thread
  NTSTATUS exit_status = 0;
};

inline constexpr uint8_t request_suspend = 1;
inline constexpr uint8_t request_interprocessor = 2;

extern thread_local constinit thread_state this_thread_state __attribute__((tls_model("initial-exec")));
inline thread_state& self() {
  thread_state* state = &this_thread_state;
#ifdef SLUICE_ADDRESS_SANITIZER
  // The check for null that comes with it may take its flags from the addition that makes the address, which the linker
  // replaces by one that sets none (from initial-exec to local-exec): it would see a null pointer here and there.
  __asm__("" : "+r"(state));
#endif
  return *state;
}

// Waits of the simulation end here. A wake before the wait is not lost; a wait may end without a wake.
struct parker {
  std::mutex mutex;
  std::condition_variable condition;
  bool token = false;
};

// What other threads need to know of a host thread that holds an activity.
struct host_thread {
  thread_state* state = nullptr;
  int linux_tid = 0;
  std::atomic<uint32_t> pid{0};
  std::atomic<uint32_t> tid{0};
  std::atomic<uint32_t> suspend_count{0};
  std::atomic<uint32_t> parked{0};
  std::atomic<uint32_t> retry{0};  // the last request hit library code: ask again
  std::atomic<uint64_t> interprocessor_arrived{0};
  std::atomic<uint32_t> cpu_index{0};
  bool pinned = false;  // never migrated by the scheduler
  parker park;
  parker suspended;  // where threads take turns
};

// Normal kernel APCs, and so suspension, are delivered here.
inline bool normal_apcs_enabled(const thread_state& thread) {
  return thread.irql < APC_LEVEL && thread.critical == 0 && thread.guarded == 0 && thread.inside == 0;
}

void deliver_requests(thread_state& thread);  // suspension.cpp
inline void deliver_requests_if_any(thread_state& thread) {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  if (thread.requests.load(std::memory_order_relaxed) != 0) [[unlikely]]
    deliver_requests(thread);
}

}  // namespace sluice::sim
