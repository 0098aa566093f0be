#include "kernel_port/sim/host/process_space.h"

#include "kernel_port/sim/machine.h"

namespace sluice::sim {
namespace {

thread_local process_end* asked_through = nullptr;

}  // namespace

process_space::inside::inside(process_space& space, process_end& through) : space_(space) {
  std::unique_lock lock(space.mutex_);
  space.changed_.wait(lock, [&] { return space.ending_ == 0; });
  ++space.inside_;
  asked_through = &through;
}

process_space::inside::~inside() {
  asked_through = nullptr;
  const std::lock_guard lock(space_.mutex_);
  if (--space_.inside_ == 0 && space_.ending_ != 0) space_.changed_.notify_all();
}

// By a thread of the process inside the kernel: nobody else maps into another process.
NTSTATUS process_space::map(int descriptor, uint64_t offset, uint64_t bytes, bool writable, uint64_t& address) {
  if (asked_through == nullptr) return STATUS_NOT_SUPPORTED;
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return STATUS_PROCESS_IS_TERMINATING;
  }
  return asked_through->ask_to_map(descriptor, offset, bytes, writable, address);
}

// By another thread, or once the process has ended: it keeps what it has mapped, or is gone.
void process_space::unmap(uint64_t address, uint64_t bytes) {
  if (asked_through != nullptr) asked_through->ask_to_unmap(address, bytes);
}

std::shared_ptr<void> process_space::process_ends() {
  {
    std::unique_lock lock(mutex_);
    ended_ = true;
    ++ending_;
    changed_.wait(lock, [&] { return inside_ == 0; });
  }
  // Without the lock: where there is no memory for it, the end is over at once.
  return std::shared_ptr<void>(this, [](process_space* space) {
    const std::lock_guard again(space->mutex_);
    --space->ending_;
    space->changed_.notify_all();
  });
}

process_spaces::use::use(process_spaces& spaces, uint32_t pid) : spaces_(spaces), pid_(pid) {
  const std::lock_guard lock(spaces.mutex_);
  auto found = spaces.entries_.find(pid);
  if (found == spaces.entries_.end()) {
    entry made{std::make_shared<process_space>(), nullptr};
    made.registration = std::make_unique<address_space_registration>(pid, made.space);
    found = spaces.entries_.emplace(pid, std::move(made)).first;
  }
  ++found->second.users;
  space_ = found->second.space;
}

process_spaces::use::~use() {
  const std::lock_guard lock(spaces_.mutex_);
  const auto found = spaces_.entries_.find(pid_);
  if (--found->second.users == 0) spaces_.entries_.erase(found);
}

}  // namespace sluice::sim
