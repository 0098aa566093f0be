#include "kernel_port/sim/pool.h"

#include <stdio.h>
#include <stdlib.h>

#include <vector>

#include "kernel_port/sim/check.h"
#include "kernel_port/sim/implementation.h"
#include "kernel_port/sim/memory_file.h"
#include "kernel_port/sim/paged_memory.h"
#include "kernel_port/sim/sanitizers.h"
#include "kernel_port/sim/shared_memory.h"

namespace sluice::sim {
namespace {

constexpr size_t guard_size = 16;  // behind every block
constexpr unsigned char guard_byte = 0xfd, fresh_byte = 0xcd, freed_byte = 0xdd;
constexpr size_t quarantined_blocks = 256;
constexpr size_t largest_quarantined = 1 << 20;

std::string text_of(uint32_t tag) {
  std::string text;
  for (int i = 0; i < 4; ++i) {
    const char letter = static_cast<char>(tag >> 8 * i);  // in the order that Windows' tools show
    text += letter >= 0x20 && letter < 0x7f ? letter : '.';
  }
  return text;
}

void bring_in_if(bool paged) {
  if (paged) bring_in_paged_memory(self());
}

bool all_bytes_are(const unsigned char* memory, size_t length, unsigned char value) {
  for (size_t i = 0; i < length; ++i) {
    if (memory[i] != value) return false;
  }
  return true;
}

}  // namespace

void* pool_table::host_allocate(bool paged, size_t size) {
  if (paged) return allocate_paged(size + guard_size);
  if (file_ != nullptr && size >= PAGE_SIZE) return file_->allocate(size + guard_size);
  if (shared_ != nullptr && size >= PAGE_SIZE) return shared_->allocate(size + guard_size);
  void* memory = nullptr;
  const size_t alignment = size >= PAGE_SIZE ? PAGE_SIZE : MEMORY_ALLOCATION_ALIGNMENT;
  return posix_memalign(&memory, alignment, size + guard_size) == 0 ? memory : nullptr;
}

void pool_table::drain() {
  for (void* memory : quarantine_) release(memory, freed_.at(memory));
  quarantine_.clear();
  freed_.clear();
}

void* pool_table::allocate(bool paged, size_t size, uint32_t tag, bool zero) {
  thread_state& thread = self();
  if (size == 0) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x00, thread.irql, paged, 0,
         "A pool allocation of no bytes.");
  }
  if (tag == 0) {
    stop(bug::BAD_POOL_CALLER, 0x9B, paged, size, as_argument(__builtin_return_address(0)),
         "A pool allocation with a tag of zero.");
  }
  if (thread.irql == irql_unattached) misuse("pool was allocated on a host thread that holds no activity");
  if (thread.irql > (paged ? APC_LEVEL : DISPATCH_LEVEL)) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, paged ? 0x01 : 0x02, thread.irql, paged, size,
         "%s pool was allocated at IRQL %u; at most %u is allowed.", paged ? "Paged" : "Non-paged",
         thread.irql, paged ? APC_LEVEL : DISPATCH_LEVEL);
  }
  allocations_.fetch_add(1, std::memory_order_relaxed);
  if (the_machine().injected_failure(machine::failure::pool_allocation) != STATUS_SUCCESS) return nullptr;
  internal_lock lock(mutex_);
  auto* memory = static_cast<unsigned char*>(host_allocate(paged, size));
  if (!memory) return nullptr;
  freed_.erase(memory);
  bring_in_if(paged);
  memset(memory, zero ? 0 : fresh_byte, size);
  memset(memory + size, guard_byte, guard_size);
  poison(memory + size, guard_size);
  live_[memory] = {size, tag, paged, thread.driver, __builtin_return_address(0)};
  return memory;
}

void pool_table::free(void* memory, const uint32_t* tag, const char* function) {
  thread_state& thread = self();
  if (thread.irql == irql_unattached) misuse("pool was freed on a host thread that holds no activity");
  internal_lock lock(mutex_);
  const auto found = live_.find(memory);
  if (found == live_.end()) {
    const auto before = freed_.find(memory);
    if (before != freed_.end()) {
      stop(bug::BAD_POOL_CALLER, 0x07, 0, before->second.tag, as_argument(memory),
           "%s of a block that was freed already (tag '%s').", function, text_of(before->second.tag).c_str());
    }
    stop(bug::BAD_POOL_CALLER, 0x46, as_argument(memory), 0, 0,
         "%s of an address that no allocation returned.", function);
  }
  const pool_block block = found->second;
  const KIRQL maximum = block.paged ? APC_LEVEL : DISPATCH_LEVEL;
  if (thread.irql > maximum) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, block.paged ? 0x11 : 0x12, thread.irql, block.paged,
         as_argument(memory), "%s pool was freed at IRQL %u; at most %u is allowed.",
         block.paged ? "Paged" : "Non-paged", thread.irql, maximum);
  }
  if (tag && *tag != 0 && *tag != block.tag) {
    stop(bug::BAD_POOL_CALLER, 0x0A, as_argument(memory), block.tag, *tag,
         "%s with tag '%s' of a block with tag '%s'.", function, text_of(*tag).c_str(),
         text_of(block.tag).c_str());
  }
  if (KTIMER* timer = the_machine().timers.find_in(memory, block.size)) {
    stop(bug::TIMER_OR_DPC_INVALID, 0, as_argument(timer), as_argument(memory),
         as_argument(static_cast<char*>(memory) + block.size),
         "A block was freed with a timer in it that is still set.");
  }
  if (KDPC* dpc = find_dpc_in(memory, block.size)) {
    stop(bug::TIMER_OR_DPC_INVALID, 1, as_argument(dpc), as_argument(memory),
         as_argument(static_cast<char*>(memory) + block.size),
         "A block was freed with a DPC in it that is still queued.");
  }
  if (const void* mapped = the_machine().mappings.find_in(memory, block.size)) {
    stop(bug::PFN_LIST_CORRUPT, 0x9A, as_argument(mapped), 0, 0,
         "A block of %zu bytes with tag '%s' was freed that is mapped into a process.", block.size, text_of(block.tag).c_str());
  }
  bring_in_if(block.paged);
  auto* bytes = static_cast<unsigned char*>(memory);
  unpoison(bytes + block.size, guard_size);
  if (!all_bytes_are(bytes + block.size, guard_size, guard_byte)) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0x52, as_argument(memory), 0, block.size,
         "A block of %zu bytes with tag '%s' was written past its end.", block.size,
         text_of(block.tag).c_str());
  }
  live_.erase(found);
  retire(memory, block);
}

void pool_table::retire(void* memory, const pool_block& block) {
  if (block.size > largest_quarantined) {
    release(memory, {0, block.tag, block.paged, nullptr, nullptr});
    return;
  }
  memset(memory, freed_byte, block.size);
  poison(memory, block.size + guard_size);
  freed_[memory] = block;
  quarantine_.push_back(memory);
  if (quarantine_.size() > quarantined_blocks) {
    void* oldest = quarantine_.front();
    quarantine_.pop_front();
    const pool_block what = freed_.at(oldest);
    freed_.erase(oldest);
    release(oldest, what);
  }
}

void pool_table::release(void* memory, const pool_block& block) {
  bring_in_if(block.paged);
  unpoison(memory, block.size + guard_size);
  if (!all_bytes_are(static_cast<unsigned char*>(memory), block.size, freed_byte)) {
    stop(bug::SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, as_argument(memory), 0, block.size, 0x24,
         "A block of %zu bytes with tag '%s' was written after it was freed.", block.size,
         text_of(block.tag).c_str());
  }
  if (block.paged) {
    free_paged(memory);
  } else if ((file_ == nullptr || !file_->free(memory)) && (shared_ == nullptr || !shared_->free(memory))) {
    ::free(memory);
  }
}

bool pool_table::is_nonpaged(const void* memory, size_t bytes) {
  const char* const begin = static_cast<const char*>(memory);
  internal_lock lock(mutex_);
  for (const auto& [start, block] : live_) {
    const char* const from = static_cast<const char*>(start);
    if (begin >= from && begin < from + block.size) return !block.paged && bytes <= static_cast<size_t>(from + block.size - begin);
  }
  return false;
}

pool_table::pool_totals pool_table::in_use(const driver_record* driver, bool any) {
  internal_lock lock(mutex_);
  pool_totals totals{};
  for (const auto& [memory, block] : live_) {
    if (!any && block.driver != driver) continue;
    totals.blocks += 1;
    totals.bytes += block.size;
  }
  return totals;
}

void pool_table::print(const driver_record* driver, bool any) {
  internal_lock lock(mutex_);
  for (const auto& [memory, block] : live_) {
    if (!any && block.driver != driver) continue;
    fprintf(stderr, "Not freed: %p, %zu bytes of %s pool, tag '%s'\n", memory, block.size,
            block.paged ? "paged" : "non-paged", text_of(block.tag).c_str());
  }
}

}  // namespace sluice::sim

using namespace sluice::sim;

namespace {

PVOID allocate(bool paged, SIZE_T bytes, ULONG tag, bool zero) {
  return the_machine().pool.allocate(paged, bytes, tag, zero);
}

bool is_paged_type(POOL_TYPE type) {
  return type & PagedPool;
}

}  // namespace

extern "C" {

PVOID ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag) {
  return allocate(is_paged_type(PoolType), NumberOfBytes, Tag, false);
}

PVOID ExAllocatePoolZero(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag) {
  return allocate(is_paged_type(PoolType), NumberOfBytes, Tag, true);
}

PVOID ExAllocatePoolUninitialized(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag) {
  return allocate(is_paged_type(PoolType), NumberOfBytes, Tag, false);
}

PVOID ExAllocatePool(POOL_TYPE PoolType, SIZE_T NumberOfBytes) {
  return allocate(is_paged_type(PoolType), NumberOfBytes, 'enoN', false);  // Windows tags these "None"
}

PVOID ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag) {
  const bool non_paged = Flags & (POOL_FLAG_NON_PAGED | POOL_FLAG_NON_PAGED_EXECUTE);
  const bool paged = Flags & POOL_FLAG_PAGED;
  // Exactly one kind; anything else fails, as on Windows.
  if (non_paged == paged) return nullptr;
  return allocate(paged, NumberOfBytes, Tag, !(Flags & POOL_FLAG_UNINITIALIZED));
}

VOID ExFreePoolWithTag(PVOID P, ULONG Tag) {
  the_machine().pool.free(P, &Tag, "ExFreePoolWithTag");
}
VOID ExFreePool(PVOID P) {
  the_machine().pool.free(P, nullptr, "ExFreePool");
}
}
