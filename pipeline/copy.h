// Copies bytes without a library: a kernel build has no memcpy of its own to call, and a compiler that recognises the
// loop would call one. Words of the machine's own size; no vector or floating-point register is touched.
// Freestanding. Any IRQL for memory that may be touched there.
#pragma once

#include "pipeline/atomic.h"

namespace sluice {

// One word, unaligned. The compiler does not know that what it stores is what it loaded: it would otherwise turn a loop
// over this into a call of memcpy, or into vector moves.
SLUICE_ALWAYS_INLINE void copy_word(uint8_t* to, const uint8_t* from) {
#if defined(_MSC_VER) && !defined(__clang__)
  *reinterpret_cast<size_t __unaligned*>(to) = *reinterpret_cast<const size_t __unaligned*>(from);
  _ReadWriteBarrier();
#else
  size_t value;
  __builtin_memcpy(&value, from, sizeof value);
  __asm__("" : "+r"(value));
  __builtin_memcpy(to, &value, sizeof value);
#endif
}

SLUICE_ALWAYS_INLINE void copy_byte(uint8_t* to, const uint8_t* from) {
  unsigned value = *from;
#if defined(_MSC_VER) && !defined(__clang__)
  _ReadWriteBarrier();
#else
  __asm__("" : "+r"(value));
#endif
  *to = static_cast<uint8_t>(value);
}

// `to` and `from` do not overlap.
SLUICE_ALWAYS_INLINE void copy_bytes(void* to_bytes, const void* from_bytes, size_t length) {
  uint8_t* to = static_cast<uint8_t*>(to_bytes);
  const uint8_t* from = static_cast<const uint8_t*>(from_bytes);
  constexpr size_t word = sizeof(size_t);
  for (; length >= 4 * word; to += 4 * word, from += 4 * word, length -= 4 * word) {
    copy_word(to, from);
    copy_word(to + word, from + word);
    copy_word(to + 2 * word, from + 2 * word);
    copy_word(to + 3 * word, from + 3 * word);
  }
  for (; length >= word; to += word, from += word, length -= word) copy_word(to, from);
  for (; length != 0; ++to, ++from, --length) copy_byte(to, from);
}

// Copies words that another side may be writing to: each word is read once, as one, and in no order. What was copied is worth
// something only if a look afterwards shows that nobody wrote (pipeline/tail.h). Both are aligned to 8 bytes, and `length` is a
// multiple of 8.
SLUICE_RACES_ON_PURPOSE inline void copy_racing(void* to_bytes, const void* from_bytes, uint32_t length) {
  constexpr uint32_t word = sizeof(size_t);
  for (uint32_t i = 0; i < length; i += word) {
#if defined(_MSC_VER) && !defined(__clang__)
    const size_t value = *reinterpret_cast<const volatile size_t*>(static_cast<const uint8_t*>(from_bytes) + i);
#else
    const size_t value =
        __atomic_load_n(reinterpret_cast<const size_t*>(static_cast<const uint8_t*>(from_bytes) + i), __ATOMIC_RELAXED);
#endif
    *reinterpret_cast<size_t*>(static_cast<uint8_t*>(to_bytes) + i) = value;
  }
}

}  // namespace sluice
