// Non-paged memory that can be mapped into processes: each block lies in a memory file of its own (memfd), sealed against changes of its
// size and against every writable view but the machine's. So whoever is given a descriptor of it can read, and never more.
//
// What a process may write to is moved to a file of its own first, as any memory manager moves a page: the bytes stay at the
// machine's address, and a store of another thread that comes meanwhile waits in the fault handler. When the process has lost
// the view, it is moved again: a descriptor that was kept reaches nothing any more.
//
// Any host thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "kernel_port/sim/internal_lock.h"

namespace sluice::sim {

class shared_memory {
 public:
  shared_memory() = default;
  ~shared_memory();
  shared_memory(const shared_memory&) = delete;
  shared_memory& operator=(const shared_memory&) = delete;

  // Zeroed, page-aligned. Null: no memory, or no descriptor left.
  void* allocate(size_t bytes);
  // False: the block is not one of these.
  bool free(void* block);

  // Where whole pages of a block can be mapped from. The descriptor is the caller's to close; -1: not in one file.
  struct view {
    int descriptor = -1;
    uint64_t offset = 0;
  };
  view for_reading(const void* address, size_t bytes);
  // Moves the pages to a file of their own, unless they are in one, and keeps them there until forbid_writing was called as often.
  view for_writing(void* address, size_t bytes);
  void forbid_writing(void* address);

  // For the fault handler: a store to `address` failed. True: it may be made again, once the pages that were being moved are
  // there. Async-signal-safe.
  static bool wait_for_move(const void* address);

 private:
  struct part {
    size_t bytes;
    int descriptor;
    uint32_t writers;
  };
  struct block {
    size_t bytes;
    int descriptor;
    std::map<size_t, part> parts;  // moved out, by offset
  };
  block* find(const void* address, size_t bytes, size_t& offset);
  static int move(void* address, size_t bytes);

  internal_mutex mutex_;
  std::map<char*, block> blocks_;
};

}  // namespace sluice::sim
