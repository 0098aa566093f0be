// The seam between the ring and what it stands on: the shared word, and the bytes of a ring.
//
// Ring, merge and wake-up are templates over a seam. `native_seam` is what kernels and clients use; a model checker
// brings its own words and memory and so checks the same templates. Freestanding. Any IRQL.
#pragma once

#include "pipeline/atomic.h"
#include "pipeline/copy.h"
#include "pipeline/record.h"

namespace sluice {

inline constexpr uint32_t shared_word_distance = 128;  // bytes between words that different sides write

struct native_seam {
  using word = atomic_word;

  static constexpr uint32_t types = max_record_types;

  // The data of one ring. Offsets are bytes from its start, capacity and apron included.
  class memory {
   public:
    memory() = default;
    explicit memory(uint8_t* base) : base_(base) {}

    // The first word of a record: shared, see pipeline/order.h.
    SLUICE_ALWAYS_INLINE word& state(size_t offset) const { return *reinterpret_cast<word*>(base_ + offset); }

    // The other words of a header, and the payload: handed over by publish, stamp and close; in discard mode never accessed
    // by two sides at once. In overwrite mode a reader uses copy_out instead.
    SLUICE_ALWAYS_INLINE uint32_t load(size_t offset) const {
      return *reinterpret_cast<const uint32_t*>(base_ + offset);
    }
    SLUICE_ALWAYS_INLINE void store(size_t offset, uint32_t value) const {
      *reinterpret_cast<uint32_t*>(base_ + offset) = value;
    }
    // A timestamp: two such words, low word first. Never shared while it is written, so a 64-bit machine may use one move.
    SLUICE_ALWAYS_INLINE uint64_t load_time(size_t offset) const {
      uint64_t time;
      copy_bytes(&time, base_ + offset, sizeof time);
      return time;
    }
    SLUICE_ALWAYS_INLINE void store_time(size_t offset, uint64_t time) const {
      copy_bytes(base_ + offset, &time, sizeof time);
    }
    SLUICE_ALWAYS_INLINE void copy_in(size_t offset, const void* bytes, uint32_t length) const {
      copy_bytes(base_ + offset, bytes, length);
    }
    // The bytes from `begin` to `end` of the record at `offset`, for a reader whom the producer may overtake meanwhile. They go
    // to the same place of the record in `to`, memory of its own. All are multiples of 8.
    SLUICE_ALWAYS_INLINE void copy_out(size_t offset, const memory& to, uint32_t begin, uint32_t end) const {
      copy_racing(to.base_ + begin, base_ + offset + begin, end - begin);
    }
    // A hint that this will be read soon; any offset.
    SLUICE_ALWAYS_INLINE void prefetch(size_t offset) const { prefetch_line(base_ + offset); }
    SLUICE_ALWAYS_INLINE void prefetch_for_writing(size_t offset) const { prefetch_line_for_writing(base_ + offset); }
    SLUICE_ALWAYS_INLINE uint8_t* bytes(size_t offset) const { return base_ + offset; }

   private:
    uint8_t* base_ = nullptr;
  };

  // Light side of the asymmetric barriers (pipeline/barrier.h).
  static SLUICE_ALWAYS_INLINE void light_barrier() { compiler_barrier(); }

  // The fences of overwrite mode: pipeline/order.h. Release orders stores only, acquire loads: no more is asked for.
  static SLUICE_ALWAYS_INLINE void fence(memory_order order) {
    if (order == memory_order::release) store_fence();
    if (order == memory_order::acquire) load_fence();
  }
};

}  // namespace sluice
