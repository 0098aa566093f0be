// Interlocked*: full barriers, as on Windows, unless the name says otherwise.
#pragma once

EXTERN_C_START

FORCEINLINE LONG InterlockedIncrement(volatile LONG* target) {
  return __atomic_add_fetch(target, 1, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG InterlockedDecrement(volatile LONG* target) {
  return __atomic_sub_fetch(target, 1, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG InterlockedAdd(volatile LONG* target, LONG value) {
  return __atomic_add_fetch(target, value, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG InterlockedExchangeAdd(volatile LONG* target, LONG value) {
  return __atomic_fetch_add(target, value, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG InterlockedExchange(volatile LONG* target, LONG value) {
  return __atomic_exchange_n(target, value, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG InterlockedOr(volatile LONG* target, LONG value) {
  return __atomic_fetch_or(target, value, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG InterlockedAnd(volatile LONG* target, LONG value) {
  return __atomic_fetch_and(target, value, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG InterlockedXor(volatile LONG* target, LONG value) {
  return __atomic_fetch_xor(target, value, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG InterlockedCompareExchange(volatile LONG* target, LONG value, LONG expected) {
  __atomic_compare_exchange_n(target, &expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  return expected;
}
FORCEINLINE LONG InterlockedCompareExchangeAcquire(volatile LONG* target, LONG value, LONG expected) {
  __atomic_compare_exchange_n(target, &expected, value, 0, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE);
  return expected;
}
FORCEINLINE LONG InterlockedCompareExchangeRelease(volatile LONG* target, LONG value, LONG expected) {
  __atomic_compare_exchange_n(target, &expected, value, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
  return expected;
}

FORCEINLINE LONG64 InterlockedIncrement64(volatile LONG64* target) {
  return __atomic_add_fetch(target, 1, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG64 InterlockedDecrement64(volatile LONG64* target) {
  return __atomic_sub_fetch(target, 1, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG64 InterlockedAdd64(volatile LONG64* target, LONG64 value) {
  return __atomic_add_fetch(target, value, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG64 InterlockedExchangeAdd64(volatile LONG64* target, LONG64 value) {
  return __atomic_fetch_add(target, value, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG64 InterlockedExchange64(volatile LONG64* target, LONG64 value) {
  return __atomic_exchange_n(target, value, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG64 InterlockedOr64(volatile LONG64* target, LONG64 value) {
  return __atomic_fetch_or(target, value, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG64 InterlockedAnd64(volatile LONG64* target, LONG64 value) {
  return __atomic_fetch_and(target, value, __ATOMIC_SEQ_CST);
}
FORCEINLINE LONG64 InterlockedCompareExchange64(volatile LONG64* target, LONG64 value, LONG64 expected) {
  __atomic_compare_exchange_n(target, &expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  return expected;
}

FORCEINLINE PVOID InterlockedExchangePointer(PVOID volatile* target, PVOID value) {
  return __atomic_exchange_n(target, value, __ATOMIC_SEQ_CST);
}
FORCEINLINE PVOID InterlockedCompareExchangePointer(PVOID volatile* target, PVOID value, PVOID expected) {
  __atomic_compare_exchange_n(target, &expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  return expected;
}

FORCEINLINE UCHAR InterlockedBitTestAndSet(volatile LONG* target, LONG bit) {
  return (UCHAR)(__atomic_fetch_or(&target[bit / 32], 1 << (bit % 32), __ATOMIC_SEQ_CST) >> (bit % 32) & 1);
}
FORCEINLINE UCHAR InterlockedBitTestAndReset(volatile LONG* target, LONG bit) {
  return (UCHAR)(__atomic_fetch_and(&target[bit / 32], ~(1 << (bit % 32)), __ATOMIC_SEQ_CST) >> (bit % 32) &
                 1);
}

FORCEINLINE LONG ReadAcquire(volatile const LONG* source) {
  return __atomic_load_n(source, __ATOMIC_ACQUIRE);
}
FORCEINLINE LONG ReadNoFence(volatile const LONG* source) {
  return __atomic_load_n(source, __ATOMIC_RELAXED);
}
FORCEINLINE ULONG ReadULongAcquire(volatile const ULONG* source) {
  return __atomic_load_n(source, __ATOMIC_ACQUIRE);
}
FORCEINLINE ULONG ReadULongNoFence(volatile const ULONG* source) {
  return __atomic_load_n(source, __ATOMIC_RELAXED);
}
FORCEINLINE LONG64 ReadAcquire64(volatile const LONG64* source) {
  return __atomic_load_n(source, __ATOMIC_ACQUIRE);
}
FORCEINLINE LONG64 ReadNoFence64(volatile const LONG64* source) {
  return __atomic_load_n(source, __ATOMIC_RELAXED);
}
FORCEINLINE VOID WriteRelease(volatile LONG* target, LONG value) {
  __atomic_store_n(target, value, __ATOMIC_RELEASE);
}
FORCEINLINE VOID WriteNoFence(volatile LONG* target, LONG value) {
  __atomic_store_n(target, value, __ATOMIC_RELAXED);
}
FORCEINLINE VOID WriteULongRelease(volatile ULONG* target, ULONG value) {
  __atomic_store_n(target, value, __ATOMIC_RELEASE);
}
FORCEINLINE VOID WriteULongNoFence(volatile ULONG* target, ULONG value) {
  __atomic_store_n(target, value, __ATOMIC_RELAXED);
}
FORCEINLINE VOID WriteRelease64(volatile LONG64* target, LONG64 value) {
  __atomic_store_n(target, value, __ATOMIC_RELEASE);
}
FORCEINLINE VOID WriteNoFence64(volatile LONG64* target, LONG64 value) {
  __atomic_store_n(target, value, __ATOMIC_RELAXED);
}
FORCEINLINE PVOID ReadPointerAcquire(PVOID const volatile* source) {
  return __atomic_load_n(source, __ATOMIC_ACQUIRE);
}
FORCEINLINE PVOID ReadPointerNoFence(PVOID const volatile* source) {
  return __atomic_load_n(source, __ATOMIC_RELAXED);
}
FORCEINLINE VOID WritePointerRelease(PVOID volatile* target, PVOID value) {
  __atomic_store_n(target, value, __ATOMIC_RELEASE);
}

FORCEINLINE VOID KeMemoryBarrier(VOID) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
#define KeMemoryBarrierWithoutFence() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#define MemoryBarrier() KeMemoryBarrier()

EXTERN_C_END
