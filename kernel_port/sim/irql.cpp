#include "kernel_port/sim/irql.h"

#include "kernel_port/sim/pageable_code.h"
#include "kernel_port/sim/paged_memory.h"

namespace sluice::sim {

void stop_raise(const thread_state& thread, KIRQL irql) {
  if (thread.irql == irql_unattached)
    misuse("KeRaiseIrql was called on a host thread that holds no activity");
  if (irql > HIGH_LEVEL) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x30, thread.irql, irql, 0,
         "KeRaiseIrql to %u: there is no such level.", irql);
  }
  stop(bug::IRQL_NOT_GREATER_OR_EQUAL, 0x30, thread.irql, irql, 0,
       "KeRaiseIrql to %u, but the current IRQL is %u already.", irql, thread.irql);
}

void stop_lower(const thread_state& thread, KIRQL irql) {
  if (thread.irql == irql_unattached)
    misuse("KeLowerIrql was called on a host thread that holds no activity");
  if (irql <= thread.irql && thread.in_dpc) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x31, thread.irql, irql, 1,
         "KeLowerIrql to %u inside a DPC, which runs at DISPATCH_LEVEL to its end.", irql);
  }
  stop(bug::IRQL_NOT_LESS_OR_EQUAL, 0x31, thread.irql, irql, 0,
       "KeLowerIrql to %u, but the current IRQL is only %u.", irql, thread.irql);
}

void raise_slowly(thread_state& thread) {
  const uint32_t attention = raise_attention.load(std::memory_order_relaxed);
  if (attention & raise_attention_keys) deny_paged_memory();
  if (attention & raise_attention_paged) trim_paged_memory(thread);
  if (attention & raise_attention_code) trim_pageable_code();
}

void lower_slowly(thread_state&) {
  allow_paged_memory();
}

driver_call::driver_call(driver_record* driver, const void* routine, const char* what)
    : thread_(self()),
      caller_(thread_.driver),
      routine_(routine),
      what_(what),
      irql_(thread_.irql),
      critical_(thread_.critical),
      guarded_(thread_.guarded) {
  if (driver) thread_.driver = driver;
}

driver_call::~driver_call() {
  if (thread_.irql != irql_) {
    stop(bug::IRQL_UNEXPECTED_VALUE,
         static_cast<uint64_t>(thread_.irql) << 16 | static_cast<uint64_t>(irql_) << 8, as_argument(routine_),
         0, 0, "%s was called at IRQL %u and returned at %u.", what_, irql_, thread_.irql);
  }
  if (thread_.critical != critical_ || thread_.guarded != guarded_) {
    stop(bug::APC_INDEX_MISMATCH, as_argument(routine_), 0,
         static_cast<uint64_t>((guarded_ - thread_.guarded) & 0xffff) << 16 |
             ((critical_ - thread_.critical) & 0xffff),
         1, "%s entered a critical or guarded region and did not leave it, or left one it had not entered.",
         what_);
  }
  thread_.driver = caller_;
}

}  // namespace sluice::sim

using namespace sluice::sim;

extern "C" {

KIRQL KeGetCurrentIrql(VOID) {
  const thread_state& thread = self();
  if (thread.irql == irql_unattached) [[unlikely]] {
    misuse("KeGetCurrentIrql was called on a host thread that holds no activity");
  }
  return thread.irql;
}

VOID KeEnterCriticalRegion(VOID) {
  thread_state& thread = self();
  if (thread.irql > APC_LEVEL) [[unlikely]] {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x11A, thread.irql, 0, 0,
         "KeEnterCriticalRegion was called at IRQL %u; it may be called at APC_LEVEL at most.", thread.irql);
  }
  thread.critical += 1;
  std::atomic_signal_fence(
      std::memory_order_seq_cst);  // the suspension signal of this very thread looks at it
}

VOID KeLeaveCriticalRegion(VOID) {
  thread_state& thread = self();
  if (thread.irql > APC_LEVEL) [[unlikely]] {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x11B, thread.irql, 0, 0,
         "KeLeaveCriticalRegion was called at IRQL %u; it may be called at APC_LEVEL at most.", thread.irql);
  }
  if (thread.critical == 0) [[unlikely]] {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x3E, 0, 0, 0,
         "KeLeaveCriticalRegion by a thread that is in no critical region.");
  }
  std::atomic_signal_fence(std::memory_order_seq_cst);
  thread.critical -= 1;
  deliver_requests_if_any(thread);
}

VOID KeEnterGuardedRegion(VOID) {
  thread_state& thread = require_irql_at_most(APC_LEVEL, "KeEnterGuardedRegion");
  thread.guarded += 1;
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

VOID KeLeaveGuardedRegion(VOID) {
  thread_state& thread = require_irql_at_most(APC_LEVEL, "KeLeaveGuardedRegion");
  if (thread.guarded == 0) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x3E, 1, 0, 0,
         "KeLeaveGuardedRegion by a thread that is in no guarded region.");
  }
  std::atomic_signal_fence(std::memory_order_seq_cst);
  thread.guarded -= 1;
  deliver_requests_if_any(thread);
}

BOOLEAN KeAreApcsDisabled(VOID) {
  const thread_state& thread = require_irql_at_most(DISPATCH_LEVEL, "KeAreApcsDisabled");
  return thread.critical != 0 || thread.guarded != 0;
}

BOOLEAN KeAreAllApcsDisabled(VOID) {
  const thread_state& thread = require_irql_at_most(DISPATCH_LEVEL, "KeAreAllApcsDisabled");
  return thread.guarded != 0 || thread.irql >= APC_LEVEL;
}
}
