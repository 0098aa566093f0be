// Upper case as NT has it, for use where RtlUpcaseUnicodeChar may not be called (it is PASSIVE_LEVEL only): asked once for
// each of the 65536 units, and kept as differences in pages of 256, of which the ones without letters are shared.
#pragma once

#include "pipeline/atomic.h"
#include "producers/pool.h"

namespace sluice {

class case_table {
 public:
  // PASSIVE_LEVEL. False: no memory. A second call does nothing.
  [[nodiscard]] SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  bool create(const kernel_functions& functions);

  // Any IRQL.
  SLUICE_ALWAYS_INLINE uint16_t upper(uint16_t unit) const {
    return static_cast<uint16_t>(unit + pages_[page_[unit >> 8]].difference[unit & 0xff]);
  }

 private:
  struct page {
    uint16_t difference[256];  // modulo 2^16
  };

  uint16_t page_[256] = {};  // 0: nothing changes
  nonpaged_memory memory_;
  const page* pages_ = nullptr;
};

}  // namespace sluice
