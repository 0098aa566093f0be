// Memory descriptor lists, and which of them are mapped into processes.
#pragma once

#include <memory>
#include <vector>

#include "kernel_port/sim/address_space.h"

namespace sluice::sim {

class process_mappings {
 public:
  // The raw form of MmMapLockedPagesSpecifyCache(UserMode): says why it would have raised an exception.
  NTSTATUS map(PMDL mdl, bool writable, void*& address);
  void unmap(void* address, PMDL mdl);
  bool is_mapped(const MDL* mdl);
  // A mapping of memory in that range, or of that process; null: none.
  const void* find_in(const void* memory, size_t bytes);
  const void* find_of(uint32_t pid);
  uint64_t count();

 private:
  struct mapping {
    const MDL* mdl;
    char* memory;  // pages of the kernel's
    size_t bytes;
    uint32_t pid;
    uint64_t address;
    bool writable;
    std::shared_ptr<address_space> space;
  };
  internal_mutex mutex_;
  std::vector<mapping> mappings_;
};

}  // namespace sluice::sim
