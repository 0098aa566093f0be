// Memory that exists but may not be used: AddressSanitizer is told, other builds rely on the pool's own
// patterns.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define SLUICE_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLUICE_ADDRESS_SANITIZER 1
#endif
#endif

#ifdef SLUICE_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

namespace sluice::sim {

inline void poison([[maybe_unused]] const void* memory, [[maybe_unused]] size_t length) {
#ifdef SLUICE_ADDRESS_SANITIZER
  __asan_poison_memory_region(memory, length);
#endif
}

inline void unpoison([[maybe_unused]] const void* memory, [[maybe_unused]] size_t length) {
#ifdef SLUICE_ADDRESS_SANITIZER
  __asan_unpoison_memory_region(memory, length);
#endif
}

}  // namespace sluice::sim
