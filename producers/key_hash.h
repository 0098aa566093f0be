// SipHash-1-3 over what identifies an event: 64 bits under a key that whoever causes events does not know, so that none
// can be made that passes for another. Any IRQL at which the bytes may be touched; reads each byte once.
#pragma once

#include "pipeline/copy.h"

namespace sluice {

class key_hash {
 public:
  key_hash(uint64_t key0, uint64_t key1)
      : a_(key0 ^ 0x736f6d6570736575u), b_(key1 ^ 0x646f72616e646f6du), c_(key0 ^ 0x6c7967656e657261u),
        d_(key1 ^ 0x7465646279746573u) {}

  void add(uint64_t word) {
    ++words_;
    d_ ^= word;
    round();
    a_ ^= word;
  }
  // Told apart from its neighbours by its length.
  void add(const void* bytes, uint32_t length) {
    const auto* at = static_cast<const uint8_t*>(bytes);
    add(length);
    uint32_t left = length;
    for (; left >= sizeof(uint64_t); at += sizeof(uint64_t), left -= static_cast<uint32_t>(sizeof(uint64_t))) {
      uint64_t word;
      copy_bytes(&word, at, sizeof word);
      add(word);
    }
    uint64_t last = 0;
    for (uint32_t i = 0; i < left; ++i) last |= static_cast<uint64_t>(at[i]) << (8 * i);
    if (left != 0) add(last);
  }
  uint64_t finish() {
    add(words_ << 56);
    c_ ^= 0xff;
    round();
    round();
    round();
    return a_ ^ b_ ^ c_ ^ d_;
  }

 private:
  static uint64_t rotate(uint64_t value, uint32_t by) { return value << by | value >> (64 - by); }
  void round() {
    a_ += b_;
    c_ += d_;
    b_ = rotate(b_, 13) ^ a_;
    d_ = rotate(d_, 16) ^ c_;
    a_ = rotate(a_, 32);
    c_ += b_;
    a_ += d_;
    b_ = rotate(b_, 17) ^ c_;
    d_ = rotate(d_, 21) ^ a_;
    c_ = rotate(c_, 32);
  }

  uint64_t a_, b_, c_, d_;
  uint64_t words_ = 0;
};

}  // namespace sluice
