// Stands before pipeline/atomic.h where every access to a shared word is a point of the simulation's scheduler: the deterministic runs
// compile the whole driver with it, unchanged.
#pragma once

#define atomic_word native_atomic_word
#include_next "pipeline/atomic.h"
#undef atomic_word

namespace sluice {

// stress/deterministic/access_point.cpp
void access_point();
bool is_left_out(memory_order order);  // a step that is missing on purpose

class atomic_word {
 public:
  constexpr atomic_word() = default;
  constexpr explicit atomic_word(uint32_t value) : value_(value) {}
  atomic_word(const atomic_word&) = delete;
  atomic_word& operator=(const atomic_word&) = delete;

  uint32_t load(memory_order order) const {
    access_point();
    return value_.load(order);
  }
  void store(uint32_t value, memory_order order) {
    access_point();
    if (is_left_out(order)) [[unlikely]] return;
    value_.store(value, order);
  }

 private:
  native_atomic_word value_;
};
static_assert(sizeof(atomic_word) == 4 && alignof(atomic_word) == 4);

}  // namespace sluice
