// Non-paged pool that is given back by its owner's destructor, zeroed and never executable where the kernel can do that.
#pragma once

#include "producers/kernel_functions.h"

namespace sluice {

inline constexpr ULONG pool_tag = 0x63696c53;  // "Slic"

// Zeroed non-paged memory; page-aligned if `bytes` is at least a page. Null: there is none. Up to DISPATCH_LEVEL.
inline void* allocate_nonpaged(const kernel_functions& functions, size_t bytes) {
  if (functions.ExAllocatePool2 != nullptr) return functions.ExAllocatePool2(POOL_FLAG_NON_PAGED, bytes, pool_tag);
  // NonPagedPoolNx came with Windows 8, as KeQuerySystemTimePrecise did.
  const POOL_TYPE type = functions.KeQuerySystemTimePrecise != nullptr ? NonPagedPoolNx : NonPagedPool;
  void* const memory = ExAllocatePoolWithTag(type, bytes, pool_tag);
  if (memory != nullptr) RtlZeroMemory(memory, bytes);
  return memory;
}

class nonpaged_memory {
 public:
  nonpaged_memory() = default;
  ~nonpaged_memory() { release(); }
  nonpaged_memory(const nonpaged_memory&) = delete;
  nonpaged_memory& operator=(const nonpaged_memory&) = delete;

  [[nodiscard]] bool allocate(const kernel_functions& functions, size_t bytes) {
    release();
    memory_ = allocate_nonpaged(functions, bytes);
    return memory_ != nullptr;
  }
  void release() {
    if (memory_ != nullptr) ExFreePoolWithTag(memory_, pool_tag);
    memory_ = nullptr;
  }
  void* get() const { return memory_; }

 private:
  void* memory_ = nullptr;
};

struct in_place {};

// An array of objects in non-paged pool, constructed one by one. Objects may ask for more alignment than pool gives: the
// block is then at least a page.
template <class object>
class nonpaged_array {
 public:
  nonpaged_array() = default;
  ~nonpaged_array() { release(); }
  nonpaged_array(const nonpaged_array&) = delete;
  nonpaged_array& operator=(const nonpaged_array&) = delete;

  [[nodiscard]] bool allocate(const kernel_functions& functions, uint32_t count) {
    release();
    size_t bytes = count * sizeof(object);
    if (bytes < PAGE_SIZE) bytes = PAGE_SIZE;
    if (!memory_.allocate(functions, bytes)) return false;
    for (uint32_t i = 0; i < count; ++i) new (in_place{}, &data()[i]) object();
    count_ = count;
    return true;
  }
  void release() {
    for (uint32_t i = count_; i != 0; --i) data()[i - 1].~object();
    count_ = 0;
    memory_.release();
  }

  object* data() const { return static_cast<object*>(memory_.get()); }
  object& operator[](uint32_t index) const { return data()[index]; }
  uint32_t count() const { return count_; }

 private:
  nonpaged_memory memory_;
  uint32_t count_ = 0;
};

}  // namespace sluice

// Constructs where memory is; kernel builds have no <new>.
inline void* operator new(size_t, sluice::in_place, void* memory) noexcept { return memory; }
inline void operator delete(void*, sluice::in_place, void*) noexcept {}
