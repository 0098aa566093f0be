// Spin locks. The lock word holds its owner, so that recursion and a release by the wrong thread are seen.
#include "kernel_port/sim/irql.h"

using namespace sluice::sim;

namespace {

ULONG_PTR owner_value() {
  return reinterpret_cast<ULONG_PTR>(self().host) | 1;
}

bool try_take(PKSPIN_LOCK lock) {
  ULONG_PTR expected = 0;
  return __atomic_compare_exchange_n(lock, &expected, owner_value(), false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED);
}

void take(PKSPIN_LOCK lock) {
  if (try_take(lock)) return;
  if (__atomic_load_n(lock, __ATOMIC_RELAXED) == owner_value()) {
    stop(bug::SPIN_LOCK_ALREADY_OWNED, as_argument(lock), as_argument(self().host), 0, 0,
         "A spin lock was acquired by the thread that holds it.");
  }
  do {
    while (__atomic_load_n(lock, __ATOMIC_RELAXED) != 0) YieldProcessor();
  } while (!try_take(lock));
}

void give_back(PKSPIN_LOCK lock) {
  const ULONG_PTR owner = __atomic_load_n(lock, __ATOMIC_RELAXED);
  if (owner != owner_value()) {
    stop(bug::SPIN_LOCK_NOT_OWNED, as_argument(lock), owner, owner_value(), 0,
         "A spin lock was released by a thread that does not hold it.");
  }
  __atomic_store_n(lock, 0, __ATOMIC_RELEASE);  // pairs with the acquire in try_take
}

void require_dispatch(PKSPIN_LOCK lock, uint64_t violation, const char* function) {
  const thread_state& thread = self();
  if (thread.irql == irql_unattached)
    misuse("%s was called on a host thread that holds no activity", function);
  if (thread.irql < DISPATCH_LEVEL) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, violation, thread.irql, as_argument(lock), 0,
         "%s was called at IRQL %u; it needs DISPATCH_LEVEL.", function, thread.irql);
  }
}

void require_at_most_dispatch(PKSPIN_LOCK lock, const char* function) {
  const thread_state& thread = self();
  if (thread.irql == irql_unattached)
    misuse("%s was called on a host thread that holds no activity", function);
  if (thread.irql > DISPATCH_LEVEL) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x42, thread.irql, as_argument(lock), 0,
         "%s was called at IRQL %u; it may be called at DISPATCH_LEVEL at most.", function, thread.irql);
  }
}

}  // namespace

extern "C" {

VOID KeInitializeSpinLock(PKSPIN_LOCK SpinLock) {
  __atomic_store_n(SpinLock, 0, __ATOMIC_RELEASE);
}

KIRQL KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock) {
  require_at_most_dispatch(SpinLock, "KeAcquireSpinLock");
  const KIRQL old = KfRaiseIrql(DISPATCH_LEVEL);
  take(SpinLock);
  return old;
}

VOID KeAcquireSpinLock(PKSPIN_LOCK SpinLock, PKIRQL OldIrql) {
  *OldIrql = KeAcquireSpinLockRaiseToDpc(SpinLock);
}

VOID KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql) {
  require_dispatch(SpinLock, 0x32, "KeReleaseSpinLock");
  give_back(SpinLock);
  KeLowerIrql(NewIrql);
}

VOID KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock) {
  require_dispatch(SpinLock, 0x40, "KeAcquireSpinLockAtDpcLevel");
  take(SpinLock);
}

VOID KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock) {
  require_dispatch(SpinLock, 0x41, "KeReleaseSpinLockFromDpcLevel");
  give_back(SpinLock);
}

BOOLEAN KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock) {
  require_dispatch(SpinLock, 0x40, "KeTryToAcquireSpinLockAtDpcLevel");
  return try_take(SpinLock);
}

VOID KeAcquireInStackQueuedSpinLock(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle) {
  LockHandle->Lock = SpinLock;
  LockHandle->OldIrql = KeAcquireSpinLockRaiseToDpc(SpinLock);
}

VOID KeReleaseInStackQueuedSpinLock(PKLOCK_QUEUE_HANDLE LockHandle) {
  KeReleaseSpinLock(LockHandle->Lock, LockHandle->OldIrql);
}

VOID KeAcquireInStackQueuedSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle) {
  LockHandle->Lock = SpinLock;
  LockHandle->OldIrql = DISPATCH_LEVEL;
  KeAcquireSpinLockAtDpcLevel(SpinLock);
}

VOID KeReleaseInStackQueuedSpinLockFromDpcLevel(PKLOCK_QUEUE_HANDLE LockHandle) {
  KeReleaseSpinLockFromDpcLevel(LockHandle->Lock);
}

PLIST_ENTRY ExInterlockedInsertHeadList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry, PKSPIN_LOCK Lock) {
  const KIRQL old = KeAcquireSpinLockRaiseToDpc(Lock);
  PLIST_ENTRY first = IsListEmpty(ListHead) ? nullptr : ListHead->Flink;
  InsertHeadList(ListHead, ListEntry);
  KeReleaseSpinLock(Lock, old);
  return first;
}

PLIST_ENTRY ExInterlockedInsertTailList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry, PKSPIN_LOCK Lock) {
  const KIRQL old = KeAcquireSpinLockRaiseToDpc(Lock);
  PLIST_ENTRY last = IsListEmpty(ListHead) ? nullptr : ListHead->Blink;
  InsertTailList(ListHead, ListEntry);
  KeReleaseSpinLock(Lock, old);
  return last;
}

PLIST_ENTRY ExInterlockedRemoveHeadList(PLIST_ENTRY ListHead, PKSPIN_LOCK Lock) {
  const KIRQL old = KeAcquireSpinLockRaiseToDpc(Lock);
  PLIST_ENTRY entry = IsListEmpty(ListHead) ? nullptr : RemoveHeadList(ListHead);
  KeReleaseSpinLock(Lock, old);
  return entry;
}
}
