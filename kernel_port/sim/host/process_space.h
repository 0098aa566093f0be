// The address space of a process that is elsewhere: what the kernel maps there, its own process maps, when it is asked to over the
// connection whose request the kernel is serving. And the end of that process: as on Windows, it comes when no thread of it is in
// the kernel any more, and its address space is gone by then.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>

#include "kernel_port/sim/address_space.h"

namespace sluice::sim {

// A connection, as far as its process is asked through it.
class process_end {
 public:
  // Waits for the process' answer, for a bounded time.
  virtual NTSTATUS ask_to_map(int descriptor, uint64_t offset, uint64_t bytes, bool writable, uint64_t& address) = 0;
  // Does not wait: what it keeps mapped reaches nothing of the kernel's any more.
  virtual void ask_to_unmap(uint64_t address, uint64_t bytes) = 0;

 protected:
  ~process_end() = default;
};

class process_space final : public address_space {
 public:
  // The calling thread is one of the process, inside the kernel, while this lives; what is mapped is asked for by `through`.
  class inside {
   public:
    inside(process_space& space, process_end& through);
    ~inside();
    inside(const inside&) = delete;
    inside& operator=(const inside&) = delete;

   private:
    process_space& space_;
  };

  NTSTATUS map(int descriptor, uint64_t offset, uint64_t bytes, bool writable, uint64_t& address) override;
  void unmap(uint64_t address, uint64_t bytes) override;
  std::shared_ptr<void> process_ends() override;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  uint32_t inside_ = 0;  // threads of the process in the kernel
  uint32_t ending_ = 0;  // who waits for them, or keeps them out
  bool ended_ = false;
};

// Those of the processes that are connected.
class process_spaces {
 public:
  // One connection's: the same space for every connection of the process.
  class use {
   public:
    use(process_spaces& spaces, uint32_t pid);
    ~use();
    use(const use&) = delete;
    use& operator=(const use&) = delete;
    const std::shared_ptr<process_space>& get() const { return space_; }

   private:
    process_spaces& spaces_;
    const uint32_t pid_;
    std::shared_ptr<process_space> space_;
  };

 private:
  struct entry {
    std::shared_ptr<process_space> space;
    std::unique_ptr<address_space_registration> registration;
    uint32_t users = 0;
  };
  std::mutex mutex_;
  std::map<uint32_t, entry> entries_;
};

}  // namespace sluice::sim
