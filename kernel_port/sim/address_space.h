// The address space of a process of the machine: where kernel memory that a driver gives to the process is mapped. The seam
// between the simulated memory manager and whoever holds the process' end, here or in another process of the host.
//
// A process that nobody registered is this host process: its mappings are made here.
//
// Any host thread; the memory manager holds no lock during a call, and calls at up to APC_LEVEL. A call may take as long as an answer
// from another process takes: whoever implements it bounds that, and nobody but the caller waits.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include <ntifs.h>

#include "kernel_port/sim/internal_lock.h"

namespace sluice::sim {

class address_space {
 public:
  virtual ~address_space() = default;

  // Maps `bytes` at `offset` of the file, both multiples of a page, shared. `descriptor` stays the caller's; it was opened for
  // reading only unless `writable`, and its seals see to it that it cannot be more. On success `address` is where the process sees
  // it: a multiple of a page, never 0. On failure nothing was mapped.
  [[nodiscard]] virtual NTSTATUS map(int descriptor, uint64_t offset, uint64_t bytes, bool writable, uint64_t& address) = 0;
  // Whether the addresses of map() are this host process' own.
  [[nodiscard]] virtual bool is_here() const { return false; }
  // What map() gave. The process may have gone.
  virtual void unmap(uint64_t address, uint64_t bytes) = 0;
  // The process ends: returns when no thread of it is inside the kernel, and none enters while what it returned is held. Nothing
  // can be mapped there afterwards.
  [[nodiscard]] virtual std::shared_ptr<void> process_ends() { return nullptr; }
};

// Whose address space is elsewhere. Part of the machine.
class address_spaces {
 public:
  address_spaces();

  void add(uint32_t pid, std::shared_ptr<address_space> space);
  void remove(uint32_t pid);
  // Never null: this host process' own if nobody registered one.
  std::shared_ptr<address_space> of(uint32_t pid);

 private:
  internal_mutex mutex_;
  std::map<uint32_t, std::shared_ptr<address_space>> spaces_;
  const std::shared_ptr<address_space> own_;
};

// Process `pid` of the current machine has its memory there, while this lives. One at a time for a process. What is mapped
// meanwhile is unmapped there too, also after this has gone.
class address_space_registration {
 public:
  address_space_registration(uint32_t pid, std::shared_ptr<address_space> space);
  ~address_space_registration();
  address_space_registration(const address_space_registration&) = delete;
  address_space_registration& operator=(const address_space_registration&) = delete;

 private:
  uint32_t pid_;
};

}  // namespace sluice::sim
