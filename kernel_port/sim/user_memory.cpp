// The addresses that kernel code sees lie in a range that is never accessible; what stands there is kept
// elsewhere. So a touch that is not guarded always shows, and a guarded one can be made to fault at any byte.
#include "kernel_port/sim/user_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <new>
#include <utility>
#include <vector>

#include "kernel_port/sim/check.h"
#include "kernel_port/sim/internal_lock.h"

namespace sluice::sim {

struct user_memory::state {
  std::vector<uint8_t> content;
  std::function<void(uint64_t)> on_read;
  char* address = nullptr;
  std::atomic<size_t> accessible{0};
  std::atomic<uint64_t> reads{0};
};

namespace {

constexpr size_t range_size = size_t{1} << 32;

struct user_range {
  std::atomic<char*> base{nullptr};
  size_t next = 0;  // where the next one is looked for: an address comes back as late as can be, a stale pointer stays one for long
  internal_mutex mutex;
  std::map<char*, user_memory::state*> regions;
};
user_range the_range;

// Not seen by sanitizers: the process may write at the same time, and that is no error of the kernel's.
void copy_unseen(void* to, const void* from, size_t bytes) {
#if defined(__x86_64__)
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
#else
  for (size_t i = 0; i < bytes; ++i)
    static_cast<volatile uint8_t*>(to)[i] = static_cast<const volatile uint8_t*>(from)[i];
#endif
}

// With a page at least between two buffers.
size_t pages_of(size_t bytes) { return (bytes / PAGE_SIZE + 2) * PAGE_SIZE; }

// With the lock held. Null: there is no room.
char* find_room(size_t bytes) {
  char* const base = the_range.base.load();
  bool again = false;
  for (size_t at = the_range.next;;) {
    if (at + bytes > range_size) {
      if (std::exchange(again, true)) return nullptr;
      at = 0;
      continue;
    }
    const auto after = the_range.regions.lower_bound(base + at + bytes);
    if (after != the_range.regions.begin()) {
      const auto& [address, region] = *std::prev(after);
      const size_t end = static_cast<size_t>(address - base) + pages_of(region->content.size());
      if (end > at) {
        at = end;
        continue;
      }
    }
    the_range.next = at + bytes;
    return base + at;
  }
}

user_memory::state* find(const void* address) {
  internal_lock lock(the_range.mutex);
  auto after = the_range.regions.upper_bound(static_cast<char*>(const_cast<void*>(address)));
  if (after == the_range.regions.begin()) return nullptr;
  user_memory::state* const region = std::prev(after)->second;
  return static_cast<const char*>(address) < region->address + region->content.size() ? region : nullptr;
}

template <class Copy>
bool access(const void* address, size_t bytes, Copy&& copy) {
  if (bytes == 0) return true;
  user_memory::state* const region = find(address);
  if (region == nullptr) return false;
  const uint64_t nth = region->reads.fetch_add(1);
  if (region->on_read) region->on_read(nth);
  const size_t offset = static_cast<size_t>(static_cast<const char*>(address) - region->address);
  const size_t end = std::min(region->accessible.load(), region->content.size());
  const size_t reachable = offset < end ? std::min(bytes, end - offset) : 0;
  copy(region->content.data() + offset, reachable);
  return reachable == bytes;
}

}  // namespace

void start_user_memory() {
  void* const memory =
      mmap(nullptr, range_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  the_range.next = 0;
  the_range.base.store(static_cast<char*>(memory));
}

void stop_user_memory() {
  munmap(the_range.base.exchange(nullptr), range_size);
}

bool is_user_address(const void* address) {
  const char* const base = the_range.base.load(std::memory_order_relaxed);
  return base != nullptr && address >= base && address < base + range_size;
}

bool read_user_memory(void* to, const void* from, size_t bytes) {
  return access(from, bytes,
                [&](const uint8_t* content, size_t reachable) { copy_unseen(to, content, reachable); });
}

bool write_user_memory(void* to, const void* from, size_t bytes) {
  return access(to, bytes,
                [&](uint8_t* content, size_t reachable) { copy_unseen(content, from, reachable); });
}

user_memory::user_memory(size_t bytes) : state_(std::make_unique<state>()) {
  state_->content.resize(bytes);
  state_->accessible = bytes;
  internal_lock lock(the_range.mutex);
  state_->address = the_range.base.load() == nullptr ? nullptr : find_room(pages_of(bytes));
  if (state_->address == nullptr) misuse("there is no more user memory");
  the_range.regions.emplace(state_->address, state_.get());
}

user_memory::user_memory(std::span<const uint8_t> content) : user_memory(content.size()) {
  std::copy(content.begin(), content.end(), state_->content.begin());
}

user_memory::~user_memory() {
  internal_lock lock(the_range.mutex);
  the_range.regions.erase(state_->address);
}

uint8_t* user_memory::data() {
  return state_->content.data();
}
size_t user_memory::size() const {
  return state_->content.size();
}
void* user_memory::address() const {
  return state_->address;
}
void user_memory::accessible_up_to(size_t bytes) {
  state_->accessible = bytes;
}
void user_memory::on_read(std::function<void(uint64_t)> act) {
  state_->on_read = std::move(act);
}
uint64_t user_memory::reads() const {
  return state_->reads.load();
}

}  // namespace sluice::sim

// What the driver's producers/user_memory.h declares.
extern "C" bool sluice_copy_from_user_memory(void* to, const void* from, size_t bytes) {
  using namespace sluice::sim;
  require_irql_at_most(APC_LEVEL, "A copy from memory of a process");
  constexpr uintptr_t lowest_address = 0x10000;  // below lies nothing, in any process
  if (reinterpret_cast<uintptr_t>(from) < lowest_address) return false;
  if (is_user_address(from)) return read_user_memory(to, from, bytes);
  memcpy(to, from, bytes);
  return true;
}

extern "C" bool sluice_copy_to_user_memory(void* to, const void* from, size_t bytes) {
  using namespace sluice::sim;
  require_irql_at_most(APC_LEVEL, "A copy to memory of a process");
  if (!is_user_address(to)) {
    stop(bug::KERNEL_SECURITY_CHECK_FAILURE, 0, as_argument(to), 0, 0,
         "A copy to memory of a process, to an address that is no process' own.");
  }
  return write_user_memory(to, from, bytes);
}
