#include "kernel_port/sim/irql.h"

using namespace sluice::sim;

namespace {

void* current_owner() {
  return self().host;
}

void require_fast_mutex_irql(const void* mutex, const char* function) {
  const thread_state& thread = self();
  if (thread.irql == irql_unattached)
    misuse("%s was called on a host thread that holds no activity", function);
  if (thread.irql > APC_LEVEL) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x33, thread.irql, as_argument(mutex), 0,
         "%s was called at IRQL %u; it may be called at APC_LEVEL at most.", function, thread.irql);
  }
}

void acquire(PFAST_MUTEX mutex) {
  if (__atomic_load_n(&mutex->Owner, __ATOMIC_RELAXED) == current_owner()) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x1000, as_argument(mutex), 0, 0,
         "A fast mutex was acquired by the thread that holds it.");
  }
  // Count: 1 free, 0 held, below 0 held with waiters.
  if (InterlockedDecrement(&mutex->Count) != 0) {
    __atomic_fetch_add(&mutex->Contention, 1, __ATOMIC_RELAXED);
    KeWaitForSingleObject(&mutex->Event, Executive, KernelMode, FALSE, nullptr);
  }
  __atomic_store_n(&mutex->Owner, static_cast<PKTHREAD>(current_owner()), __ATOMIC_RELAXED);
}

void release(PFAST_MUTEX mutex) {
  if (__atomic_load_n(&mutex->Owner, __ATOMIC_RELAXED) != current_owner()) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x1004, as_argument(mutex), as_argument(mutex->Owner),
         as_argument(current_owner()), "A fast mutex was released by a thread that does not hold it.");
  }
  __atomic_store_n(&mutex->Owner, nullptr, __ATOMIC_RELAXED);
  if (InterlockedIncrement(&mutex->Count) <= 0) KeSetEvent(&mutex->Event, IO_NO_INCREMENT, FALSE);
}

}  // namespace

extern "C" {

VOID ExInitializeFastMutex(PFAST_MUTEX FastMutex) {
  FastMutex->Count = 1;
  FastMutex->Owner = nullptr;
  FastMutex->Contention = 0;
  FastMutex->OldIrql = PASSIVE_LEVEL;
  KeInitializeEvent(&FastMutex->Event, SynchronizationEvent, FALSE);
}

VOID ExAcquireFastMutex(PFAST_MUTEX FastMutex) {
  require_fast_mutex_irql(FastMutex, "ExAcquireFastMutex");
  const KIRQL old = KfRaiseIrql(APC_LEVEL);
  acquire(FastMutex);
  FastMutex->OldIrql = old;
}

BOOLEAN ExTryToAcquireFastMutex(PFAST_MUTEX FastMutex) {
  require_fast_mutex_irql(FastMutex, "ExTryToAcquireFastMutex");
  const KIRQL old = KfRaiseIrql(APC_LEVEL);
  if (InterlockedCompareExchange(&FastMutex->Count, 0, 1) != 1) {
    KeLowerIrql(old);
    return FALSE;
  }
  __atomic_store_n(&FastMutex->Owner, static_cast<PKTHREAD>(current_owner()), __ATOMIC_RELAXED);
  FastMutex->OldIrql = old;
  return TRUE;
}

VOID ExReleaseFastMutex(PFAST_MUTEX FastMutex) {
  const thread_state& thread = self();
  if (thread.irql != APC_LEVEL) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x34, thread.irql, as_argument(FastMutex), 0,
         "ExReleaseFastMutex was called at IRQL %u; the holder of a fast mutex runs at APC_LEVEL.",
         thread.irql);
  }
  const auto old = static_cast<KIRQL>(FastMutex->OldIrql);
  release(FastMutex);
  KeLowerIrql(old);
}

VOID ExAcquireFastMutexUnsafe(PFAST_MUTEX FastMutex) {
  const thread_state& thread = self();
  if (thread.irql != APC_LEVEL && thread.critical == 0 && thread.guarded == 0) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x39, thread.irql, 0, as_argument(FastMutex),
         "ExAcquireFastMutexUnsafe with APCs enabled.");
  }
  require_fast_mutex_irql(FastMutex, "ExAcquireFastMutexUnsafe");
  acquire(FastMutex);
}

VOID ExReleaseFastMutexUnsafe(PFAST_MUTEX FastMutex) {
  require_fast_mutex_irql(FastMutex, "ExReleaseFastMutexUnsafe");
  release(FastMutex);
}
}
