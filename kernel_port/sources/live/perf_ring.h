// The reader's side of one perf ring, over memory that perf_event_open(2)'s mmap gave: a control page, then a power of
// two of data bytes. The kernel writes data, then data_head; we read, then write data_tail.
//
//   data_head  written by the kernel (release); read here (acquire), before any byte of data
//   data_tail  written here (release), after the last byte was copied; read by the kernel before it overwrites
//
// One thread. A record that stands across the ring's end is put together in a buffer.
#pragma once

#include <linux/perf_event.h>

#include <cstdint>
#include <span>
#include <vector>

namespace sluice::live {

class perf_ring {
 public:
  // `page` and `data` must outlive the ring; `data` is a power of two long. `cpu` is for messages.
  perf_ring(perf_event_mmap_page* page, std::span<const uint8_t> data, uint32_t cpu);

  // How far the kernel has written now. Records up to here may be taken.
  uint64_t look();

  // The next record before what look() last gave; empty if there is none. Valid until the next call. Throws live_error
  // (malformed) for a size that no record can have: nothing behind it can be read any more.
  std::span<const uint8_t> next();

  // Gives what was taken back to the kernel.
  void release();

 private:
  void copy_out(uint64_t position, void* to, size_t count) const;

  perf_event_mmap_page* page_;
  std::span<const uint8_t> data_;
  uint64_t mask_;
  uint32_t cpu_;
  uint64_t head_;
  uint64_t position_;
  std::vector<uint8_t> buffer_;
};

}  // namespace sluice::live
