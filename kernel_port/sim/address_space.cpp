#include "kernel_port/sim/address_space.h"

#include <sys/mman.h>

#include "kernel_port/sim/implementation.h"

namespace sluice::sim {
namespace {

class own_address_space : public address_space {
 public:
  NTSTATUS map(int descriptor, uint64_t offset, uint64_t bytes, bool writable, uint64_t& address) override {
    const int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    void* const mapped = ::mmap(nullptr, bytes, protection, MAP_SHARED, descriptor, static_cast<off_t>(offset));
    if (mapped == MAP_FAILED) return STATUS_INSUFFICIENT_RESOURCES;
    address = reinterpret_cast<uint64_t>(mapped);
    return STATUS_SUCCESS;
  }
  bool is_here() const override { return true; }
  void unmap(uint64_t address, uint64_t bytes) override { ::munmap(reinterpret_cast<void*>(address), bytes); }
};

}  // namespace

address_spaces::address_spaces() : own_(std::make_shared<own_address_space>()) {}

void address_spaces::add(uint32_t pid, std::shared_ptr<address_space> space) {
  internal_lock lock(mutex_);
  if (!spaces_.emplace(pid, std::move(space)).second) misuse("process %u has an address space already", pid);
}

void address_spaces::remove(uint32_t pid) {
  internal_lock lock(mutex_);
  spaces_.erase(pid);
}

std::shared_ptr<address_space> address_spaces::of(uint32_t pid) {
  internal_lock lock(mutex_);
  const auto found = spaces_.find(pid);
  return found == spaces_.end() ? own_ : found->second;
}

address_space_registration::address_space_registration(uint32_t pid, std::shared_ptr<address_space> space) : pid_(pid) {
  the_machine().spaces.add(pid, std::move(space));
}

address_space_registration::~address_space_registration() { the_machine().spaces.remove(pid_); }

}  // namespace sluice::sim
