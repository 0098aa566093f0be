// Stands before pipeline/copy.h, as atomic.h here: somebody else may run before the bytes of a record are copied, and amid them.
#pragma once

#define copy_bytes native_copy_bytes
#define copy_racing native_copy_racing
#include_next "pipeline/copy.h"
#undef copy_racing
#undef copy_bytes

namespace sluice {

inline void copy_bytes(void* to, const void* from, size_t length) {
  access_point();
  native_copy_bytes(to, from, length);
}

inline void copy_racing(void* to, const void* from, uint32_t length) {
  constexpr uint32_t stretch = 64;
  for (uint32_t at = 0; at < length; at += stretch) {
    access_point();
    native_copy_racing(static_cast<uint8_t*>(to) + at, static_cast<const uint8_t*>(from) + at,
                       length - at < stretch ? length - at : stretch);
  }
}

}  // namespace sluice
