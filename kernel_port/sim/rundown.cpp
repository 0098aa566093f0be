// Rundown protection, in the form of NT: references count in steps of two; the low bit says that the rundown
// has begun, and then the rest points to the waiter's block.
#include "kernel_port/sim/check.h"

using namespace sluice::sim;

namespace {

constexpr ULONG_PTR active = 1;
constexpr ULONG_PTR step = 2;

struct rundown_wait {
  alignas(16) std::atomic<ULONG_PTR> left;
  KEVENT done;
};

rundown_wait* wait_of(ULONG_PTR value) {
  return reinterpret_cast<rundown_wait*>(value & ~active);
}

}  // namespace

extern "C" {

VOID ExInitializeRundownProtection(PEX_RUNDOWN_REF RunRef) {
  __atomic_store_n(&RunRef->Count, 0, __ATOMIC_RELEASE);
}

VOID ExReInitializeRundownProtection(PEX_RUNDOWN_REF RunRef) {
  require_irql_at_most(APC_LEVEL, "ExReInitializeRundownProtection");
  if (__atomic_load_n(&RunRef->Count, __ATOMIC_ACQUIRE) != active) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE5, as_argument(RunRef), RunRef->Count, 0,
         "ExReInitializeRundownProtection before the rundown is complete.");
  }
  __atomic_store_n(&RunRef->Count, 0, __ATOMIC_RELEASE);
}

VOID ExRundownCompleted(PEX_RUNDOWN_REF RunRef) {
  __atomic_store_n(&RunRef->Count, active, __ATOMIC_RELEASE);
}

BOOLEAN ExAcquireRundownProtectionEx(PEX_RUNDOWN_REF RunRef, ULONG Count) {
  ULONG_PTR value = __atomic_load_n(&RunRef->Count, __ATOMIC_RELAXED);
  do {
    if (value & active) return FALSE;
    // acquire: pairs with the release in initialization and re-initialization.
  } while (!__atomic_compare_exchange_n(&RunRef->Count, &value, value + step * Count, true, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED));
  return TRUE;
}

BOOLEAN ExAcquireRundownProtection(PEX_RUNDOWN_REF RunRef) {
  return ExAcquireRundownProtectionEx(RunRef, 1);
}

VOID ExReleaseRundownProtectionEx(PEX_RUNDOWN_REF RunRef, ULONG Count) {
  ULONG_PTR value = __atomic_load_n(&RunRef->Count, __ATOMIC_RELAXED);
  for (;;) {
    if (value & active) {
      if (value == active) {
        stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x1007, as_argument(RunRef), 0, 0,
             "ExReleaseRundownProtection after the rundown was complete: released once too often.");
      }
      rundown_wait* wait = wait_of(__atomic_load_n(&RunRef->Count, __ATOMIC_ACQUIRE));
      if (wait->left.fetch_sub(Count, std::memory_order_acq_rel) == Count) {
        KeSetEvent(&wait->done, IO_NO_INCREMENT, FALSE);
      }
      return;
    }
    if (value < step * Count) {
      stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x1007, as_argument(RunRef), value, 0,
           "ExReleaseRundownProtection without a matching acquisition.");
    }
    // release: pairs with the acquire of whoever waits for the rundown.
    if (__atomic_compare_exchange_n(&RunRef->Count, &value, value - step * Count, true, __ATOMIC_RELEASE,
                                    __ATOMIC_RELAXED)) {
      return;
    }
  }
}

VOID ExReleaseRundownProtection(PEX_RUNDOWN_REF RunRef) {
  ExReleaseRundownProtectionEx(RunRef, 1);
}

VOID ExWaitForRundownProtectionRelease(PEX_RUNDOWN_REF RunRef) {
  require_irql_at_most(APC_LEVEL, "ExWaitForRundownProtectionRelease");
  rundown_wait wait;
  KeInitializeEvent(&wait.done, SynchronizationEvent, FALSE);
  ULONG_PTR value = __atomic_load_n(&RunRef->Count, __ATOMIC_ACQUIRE);
  for (;;) {
    if (value == active) return;  // complete already
    if (value & active) misuse("two threads wait for one rundown at the same time");
    wait.left.store(value / step, std::memory_order_relaxed);  // published by the exchange
    const ULONG_PTR next = value == 0 ? active : reinterpret_cast<ULONG_PTR>(&wait) | active;
    const bool nobody_holds_it = value == 0;
    // A failed exchange brings the count of those who have come or gone meanwhile: all of it is looked at again.
    if (!__atomic_compare_exchange_n(&RunRef->Count, &value, next, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) continue;
    if (nobody_holds_it) return;
    break;
  }
  KeWaitForSingleObject(&wait.done, Executive, KernelMode, FALSE, nullptr);
  __atomic_store_n(&RunRef->Count, active, __ATOMIC_RELEASE);
}
}
