// A small generator of pseudo-random numbers, one per thread: the same seed makes the same choices.
#pragma once

#include <cstdint>

namespace sluice::stress {

class random_source {
 public:
  // Neighbouring seeds must not give neighbouring states: they would walk the same sequence.
  explicit random_source(uint64_t seed) : state_(seed) { state_ = next() ^ seed << 32; }

  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // 0 .. limit - 1
  uint32_t below(uint32_t limit) { return static_cast<uint32_t>((next() >> 32) * limit >> 32); }
  bool one_in(uint32_t n) { return below(n) == 0; }

 private:
  uint64_t state_;
};

}  // namespace sluice::stress
