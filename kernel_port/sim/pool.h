// Paged and non-paged pool: who holds what, by tag and driver. Freed blocks stay in quarantine for a while,
// poisoned, so that a double free and a use after free are seen.
#pragma once

#include <deque>
#include <unordered_map>

#include "kernel_port/sim/internal_lock.h"

namespace sluice::sim {

class memory_file;
class shared_memory;

class pool_table {
 public:
  pool_table(memory_file* file, shared_memory* shared) : file_(file), shared_(shared) {}
  ~pool_table() = default;
  void drain();  // the quarantine: at the end of the machine

  void* allocate(bool paged, size_t size, uint32_t tag, bool zero);
  void free(void* memory, const uint32_t* tag, const char* function);

  struct pool_totals {
    uint64_t blocks, bytes;
  };
  // Whether all of it lies in one block of non-paged pool.
  bool is_nonpaged(const void* memory, size_t bytes);
  pool_totals in_use(const driver_record* driver, bool any = false);
  uint64_t allocations() const { return allocations_.load(std::memory_order_relaxed); }
  // Says on stderr what the driver holds: part of the leak report.
  void print(const driver_record* driver, bool any);

 private:
  struct pool_block {
    size_t size;
    uint32_t tag;
    bool paged;
    driver_record* driver;
    void* caller;
  };
  void* host_allocate(bool paged, size_t size);
  void retire(void* memory, const pool_block& block);
  void release(void* memory, const pool_block& block);

  memory_file* const file_;  // where non-paged blocks of a page or more are; may be null
  shared_memory* const shared_;  // the same, where processes can be given a view; may be null
  internal_mutex mutex_;
  std::unordered_map<void*, pool_block> live_;
  std::unordered_map<void*, pool_block> freed_;
  std::deque<void*> quarantine_;
  std::atomic<uint64_t> allocations_{0};
};

}  // namespace sluice::sim
