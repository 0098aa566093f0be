#include "kernel_port/sim/shared_memory.h"

#include <fcntl.h>
#include <ntifs.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>

namespace sluice::sim {
namespace {

constexpr int fixed_size = F_SEAL_SHRINK | F_SEAL_GROW;
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010  // Linux 5.1
#endif

// The pages that are being moved, and how many moves there were: read by the fault handler.
std::atomic<uintptr_t> moving_begin{0};
std::atomic<uintptr_t> moving_end{0};
std::atomic<uint64_t> moves{0};
// The last fault of this thread that was retried, and after how many moves.
thread_local constinit uintptr_t retried_address __attribute__((tls_model("initial-exec"))) = 0;
thread_local constinit uint64_t retried_after __attribute__((tls_model("initial-exec"))) = 0;

// By system call: a sanitizer's interceptor would take a mapping for a write to memory that other threads use.
void* map_over(void* address, size_t bytes, int descriptor) {
  return reinterpret_cast<void*>(
      ::syscall(SYS_mmap, address, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor, 0));
}
bool forbid_stores(void* address, size_t bytes) { return ::syscall(SYS_mprotect, address, bytes, PROT_READ) == 0; }
void allow_stores(void* address, size_t bytes) { ::syscall(SYS_mprotect, address, bytes, PROT_READ | PROT_WRITE); }

int make_file(size_t bytes) {
  const int descriptor = ::memfd_create("sluice", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor < 0) return -1;
  if (::ftruncate(descriptor, static_cast<off_t>(bytes)) != 0) {
    ::close(descriptor);
    return -1;
  }
  return descriptor;
}

int open_again(int descriptor, int how) {
  char path[40];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
  return ::open(path, how | O_CLOEXEC);
}

}  // namespace

shared_memory::~shared_memory() {
  while (!blocks_.empty()) free(blocks_.begin()->first);
}

void* shared_memory::allocate(size_t bytes) {
  const size_t rounded = (bytes + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE;
  const int descriptor = make_file(rounded);
  if (descriptor < 0) return nullptr;
  void* const memory = ::mmap(nullptr, rounded, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  // After this view no writable one can be made, nor can the seals be changed.
  if (memory == MAP_FAILED || ::fcntl(descriptor, F_ADD_SEALS, fixed_size | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) != 0) {
    if (memory != MAP_FAILED) ::munmap(memory, rounded);
    ::close(descriptor);
    return nullptr;
  }
  internal_lock lock(mutex_);
  blocks_[static_cast<char*>(memory)] = {rounded, descriptor, {}};
  return memory;
}

bool shared_memory::free(void* memory) {
  internal_lock lock(mutex_);
  const auto found = blocks_.find(static_cast<char*>(memory));
  if (found == blocks_.end()) return false;
  for (const auto& [offset, moved] : found->second.parts) ::close(moved.descriptor);
  ::close(found->second.descriptor);
  ::munmap(memory, found->second.bytes);
  blocks_.erase(found);
  return true;
}

shared_memory::block* shared_memory::find(const void* address, size_t bytes, size_t& offset) {
  char* const at = static_cast<char*>(const_cast<void*>(address));
  auto after = blocks_.upper_bound(at);
  if (after == blocks_.begin()) return nullptr;
  const auto found = std::prev(after);
  offset = static_cast<size_t>(at - found->first);
  const bool inside = offset < found->second.bytes && bytes <= found->second.bytes - offset;
  return inside && offset % PAGE_SIZE == 0 && bytes % PAGE_SIZE == 0 && bytes != 0 ? &found->second : nullptr;
}

shared_memory::view shared_memory::for_reading(const void* address, size_t bytes) {
  internal_lock lock(mutex_);
  size_t offset = 0;
  block* const in = find(address, bytes, offset);
  if (in == nullptr) return {};
  for (const auto& [begin, moved] : in->parts) {
    if (begin == offset && moved.bytes == bytes) return {open_again(moved.descriptor, O_RDONLY), 0};
    if (begin < offset + bytes && offset < begin + moved.bytes) return {};
  }
  return {open_again(in->descriptor, O_RDONLY), offset};
}

shared_memory::view shared_memory::for_writing(void* address, size_t bytes) {
  internal_lock lock(mutex_);
  size_t offset = 0;
  block* const in = find(address, bytes, offset);
  if (in == nullptr) return {};
  auto found = in->parts.find(offset);
  if (found == in->parts.end()) {
    for (const auto& [begin, moved] : in->parts) {
      if (begin < offset + bytes && offset < begin + moved.bytes) return {};
    }
    const int descriptor = move(address, bytes);
    if (descriptor < 0) return {};
    found = in->parts.emplace(offset, part{bytes, descriptor, 0}).first;
  }
  if (found->second.bytes != bytes) return {};
  const int given = open_again(found->second.descriptor, O_RDWR);
  if (given >= 0) ++found->second.writers;
  return {given, 0};
}

void shared_memory::forbid_writing(void* address) {
  internal_lock lock(mutex_);
  size_t offset = 0;
  block* const in = find(address, PAGE_SIZE, offset);
  if (in == nullptr) return;
  const auto found = in->parts.find(offset);
  if (found == in->parts.end() || found->second.writers == 0 || --found->second.writers != 0) return;
  const int fresh = move(address, found->second.bytes);
  if (fresh < 0) return;  // no descriptor left: whoever kept one can still write there, which nobody relies on (R5)
  ::close(found->second.descriptor);
  found->second.descriptor = fresh;
}

// Returns the new file; -1: nothing has changed.
int shared_memory::move(void* address, size_t bytes) {
  const int descriptor = make_file(bytes);
  if (descriptor < 0) return -1;
  void* const fresh = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (fresh == MAP_FAILED || ::fcntl(descriptor, F_ADD_SEALS, fixed_size | F_SEAL_SEAL) != 0) {
    if (fresh != MAP_FAILED) ::munmap(fresh, bytes);
    ::close(descriptor);
    return -1;
  }
  moving_end.store(reinterpret_cast<uintptr_t>(address) + bytes, std::memory_order_relaxed);
  moving_begin.store(reinterpret_cast<uintptr_t>(address), std::memory_order_release);
  moves.fetch_add(1, std::memory_order_release);
  bool moved = forbid_stores(address, bytes);
  if (moved) {
    // Words: a reader elsewhere uses words too, and no sanitizer is to see a race with the stores that came before.
    const auto* const from = static_cast<const uint64_t*>(address);
    auto* const to = static_cast<uint64_t*>(fresh);
    for (size_t i = 0; i < bytes / sizeof *to; ++i) to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
    moved = map_over(address, bytes, descriptor) == address;
    if (!moved) allow_stores(address, bytes);
  }
  moving_begin.store(0, std::memory_order_release);
  ::munmap(fresh, bytes);
  if (moved) return descriptor;
  ::close(descriptor);
  return -1;
}

bool shared_memory::wait_for_move(const void* address) {
  const auto at = reinterpret_cast<uintptr_t>(address);
  const uint64_t count = moves.load(std::memory_order_acquire);
  if (count == 0) return false;
  for (;;) {
    const uintptr_t begin = moving_begin.load(std::memory_order_acquire);
    if (begin == 0 || at < begin || at >= moving_end.load(std::memory_order_relaxed)) break;
    ::syscall(SYS_sched_yield);
  }
  // The move may have been over before the fault came here. The same store that fails again with no move in between is a fault.
  if (retried_address == at && retried_after == count) return false;
  retried_address = at;
  retried_after = count;
  return true;
}

}  // namespace sluice::sim
