// Copies bytes without a library: a kernel build has no memcpy of its own to call, and a compiler that recognises the
// loop would call one. Words of the machine's own size; no vector or floating-point register is touched.
// Freestanding. Any IRQL for memory that may be touched there.
#pragma once

#include "pipeline/atomic.h"

namespace sluice {

#if defined(_MSC_VER) && !defined(__clang__)
template <class word>
SLUICE_ALWAYS_INLINE void copy_word(uint8_t* to, const uint8_t* from) {
  *reinterpret_cast<word __unaligned*>(to) = *reinterpret_cast<const word __unaligned*>(from);
}
#else
template <class word>
SLUICE_ALWAYS_INLINE void copy_word(uint8_t* to, const uint8_t* from) {
  word value;
  __builtin_memcpy(&value, from, sizeof value);
  __builtin_memcpy(to, &value, sizeof value);
}
#endif

// `to` and `from` do not overlap.
SLUICE_ALWAYS_INLINE void copy_bytes(void* to_bytes, const void* from_bytes, size_t length) {
  uint8_t* to = static_cast<uint8_t*>(to_bytes);
  const uint8_t* from = static_cast<const uint8_t*>(from_bytes);
  while (length >= sizeof(size_t)) {
    copy_word<size_t>(to, from);
    to += sizeof(size_t);
    from += sizeof(size_t);
    length -= sizeof(size_t);
    compiler_barrier();  // or the compiler turns the loop into a call of memcpy
  }
  while (length != 0) {
    *to++ = *from++;
    --length;
    compiler_barrier();
  }
}

}  // namespace sluice
