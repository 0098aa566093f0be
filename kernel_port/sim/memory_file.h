// The machine's non-paged memory in a file: what the memory of a real machine is to whoever dumps it after a crash. However
// the process dies (also by SIGKILL), the file holds every byte that was stored there.
//
// Blocks of a page or more go there, page-aligned; smaller ones stay on the host's heap. Room on the disk is reserved
// when a block is allocated, so that a full disk is a failed allocation and not a fault later. What is freed is zero in
// the file. Any host thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>

#include "kernel_port/sim/internal_lock.h"

namespace sluice::sim {

class memory_file {
 public:
  // Makes the file; it must not exist, since it may be what is left of another machine. Throws std::system_error.
  explicit memory_file(const std::string& path);
  // Removes the file: it is there to be read after a death, and this is none.
  ~memory_file();
  memory_file(const memory_file&) = delete;
  memory_file& operator=(const memory_file&) = delete;

  // Zeroed, page-aligned. Null: no room on the disk, or no address space.
  void* allocate(size_t bytes);
  // False: the block is not one of this file.
  bool free(void* block);

  const std::string& path() const { return path_; }
  // Why the last allocation that failed did: an errno; 0: none did.
  int error() const { return error_.load(std::memory_order_relaxed); }

 private:
  struct place {
    uint64_t offset;
    uint64_t bytes;
  };
  uint64_t find_room(uint64_t bytes);
  void give_back(place room);

  std::string path_;
  int descriptor_;
  std::atomic<int> error_{0};
  internal_mutex mutex_;
  uint64_t end_ = 0;                         // of the file
  std::map<uint64_t, uint64_t> free_;        // offset -> bytes
  std::unordered_map<void*, place> blocks_;
};

}  // namespace sluice::sim
