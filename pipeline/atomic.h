// The atomic seam: the only place that knows how this compiler spells an ordered 32-bit load or store.
//
// All that two sides share is a 32-bit word, so nothing tears on a 32-bit kernel and no locked, floating-point or vector
// instruction is needed. Loads are relaxed or acquire, stores relaxed or release: plain moves on x86, ldar/stlr on ARM64.
// Freestanding. Any IRQL.
#pragma once

#include <stddef.h>
#include <stdint.h>

#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#define SLUICE_ALWAYS_INLINE __forceinline
#define SLUICE_NEVER_INLINE __declspec(noinline)
#define SLUICE_RARE __declspec(noinline)
#define SLUICE_RACES_ON_PURPOSE __declspec(noinline)
#else
#define SLUICE_ALWAYS_INLINE inline __attribute__((always_inline))
#define SLUICE_NEVER_INLINE __attribute__((noinline))
// And compiled for size, wherever it stands: what happens seldom.
#define SLUICE_RARE __attribute__((noinline, cold))
// Reads what another side may be writing, and the caller finds out: no business of the thread sanitizer's.
#define SLUICE_RACES_ON_PURPOSE __attribute__((noinline, no_sanitize("thread")))
#endif

namespace sluice {

enum class memory_order { relaxed, acquire, release };

// Keeps the compiler from moving a memory access across it; costs no instruction. The light side of the asymmetric
// barriers in pipeline/barrier.h.
SLUICE_ALWAYS_INLINE void compiler_barrier() {
#if defined(_MSC_VER) && !defined(__clang__)
  _ReadWriteBarrier();
#else
  __asm__ volatile("" ::: "memory");
#endif
}

// Stores before it become visible before stores behind it. x86 keeps stores in order anyway, so there the compiler is all that
// is held back; ARM64: `dmb ishst`.
SLUICE_ALWAYS_INLINE void store_fence() {
#if defined(_MSC_VER) && !defined(__clang__)
#if defined(_M_ARM64)
  __dmb(0xa);  // _ARM64_BARRIER_ISHST
#endif
  _ReadWriteBarrier();
#elif defined(__aarch64__)
  __asm__ volatile("dmb ishst" ::: "memory");
#else
  __asm__ volatile("" ::: "memory");
#endif
}

// Loads before it are done before loads and stores behind it. x86: likewise the compiler only; ARM64: `dmb ishld`.
SLUICE_ALWAYS_INLINE void load_fence() {
#if defined(_MSC_VER) && !defined(__clang__)
#if defined(_M_ARM64)
  __dmb(0x9);  // _ARM64_BARRIER_ISHLD
#endif
  _ReadWriteBarrier();
#elif defined(__aarch64__)
  __asm__ volatile("dmb ishld" ::: "memory");
#else
  __asm__ volatile("" ::: "memory");
#endif
}

// A hint; never faults.
SLUICE_ALWAYS_INLINE void prefetch_line(const void* address) {
#if defined(_MSC_VER) && !defined(__clang__)
#if defined(_M_ARM64)
  __prefetch(address);
#else
  _mm_prefetch(static_cast<const char*>(address), 3);
#endif
#else
  __builtin_prefetch(address);
#endif
}

// A hint that this will be written soon: brings the line here for this processor alone, so that the store need not fetch it
// from the consumer's. Whatever the address, it does not fault. x86-64: `prefetchw`, which 64-bit Windows requires of a
// processor since 8.1. Before that, AMD's 64-bit processors have it and Intel's take it for a no-op, except the first of them
// (Pentium 4 before Cedar Mill, 2006): there it is an illegal instruction, and a build of this header must not run (docs/nt-build.md).
// 32-bit x86 has no such promise, and gets nothing.
SLUICE_ALWAYS_INLINE void prefetch_line_for_writing(const void* address) {
#if defined(_MSC_VER) && !defined(__clang__)
#if defined(_M_ARM64)
  __prefetch2(address, 16);  // PSTL1KEEP
#elif defined(_M_X64)
  _m_prefetchw(address);
#else
  (void)address;
#endif
#elif defined(__x86_64__)
  // Of its own a compiler for a generic x86-64 takes the prefetch for reading, which shares the line and gains nothing.
  __asm__ volatile("prefetchw %0" ::"m"(*static_cast<const uint8_t*>(address)));
#elif defined(__aarch64__)
  __builtin_prefetch(address, 1);
#else
  (void)address;
#endif
}

class atomic_word {
 public:
  constexpr atomic_word() = default;
  constexpr explicit atomic_word(uint32_t value) : value_(value) {}
  atomic_word(const atomic_word&) = delete;
  atomic_word& operator=(const atomic_word&) = delete;

  // `order` is relaxed or acquire.
  SLUICE_ALWAYS_INLINE uint32_t load(memory_order order) const {
#if defined(_MSC_VER) && !defined(__clang__)
#if defined(_M_ARM64)
    if (order == memory_order::acquire) return __ldar32(const_cast<volatile unsigned*>(&value_));
#endif
    const uint32_t value = static_cast<uint32_t>(__iso_volatile_load32(reinterpret_cast<const volatile int*>(&value_)));
    if (order == memory_order::acquire) _ReadWriteBarrier();  // x86: a load is an acquire; the compiler must agree
    return value;
#else
    return order == memory_order::acquire ? __atomic_load_n(&value_, __ATOMIC_ACQUIRE)
                                          : __atomic_load_n(&value_, __ATOMIC_RELAXED);
#endif
  }

  // `order` is relaxed or release.
  SLUICE_ALWAYS_INLINE void store(uint32_t value, memory_order order) {
#if defined(_MSC_VER) && !defined(__clang__)
#if defined(_M_ARM64)
    if (order == memory_order::release) {
      __stlr32(const_cast<volatile unsigned*>(&value_), value);
      return;
    }
#endif
    if (order == memory_order::release) _ReadWriteBarrier();  // x86: a store is a release; the compiler must agree
    __iso_volatile_store32(reinterpret_cast<volatile int*>(&value_), static_cast<int>(value));
#else
    if (order == memory_order::release) {
      __atomic_store_n(&value_, value, __ATOMIC_RELEASE);
    } else {
      __atomic_store_n(&value_, value, __ATOMIC_RELAXED);
    }
#endif
  }

 private:
  uint32_t value_ = 0;
};
static_assert(sizeof(atomic_word) == 4 && alignof(atomic_word) == 4);

}  // namespace sluice
