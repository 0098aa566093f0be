#include "kernel_port/wine/pool.h"

#include <cstdlib>
#include <cstring>
#include <map>

#include "kernel_port/wine/imports.h"
#include "kernel_port/wine/rules.h"

namespace sluice::wine {
namespace {

constexpr size_t guard_bytes = 16;
constexpr uint8_t guard_byte = 0xfd;
constexpr uint8_t fresh_byte = 0xcd;  // memory that nobody has promised to be zero
constexpr uint8_t freed_byte = 0xdd;

struct block {
  size_t bytes;
  ULONG tag;
  HANDLE section;  // null: in the heap
};

lock blocks_lock;
std::map<uintptr_t, block>& blocks() {
  static auto* const made = new std::map<uintptr_t, block>;  // never destroyed: drivers may outlive static objects
  return *made;
}

void* allocate_section(size_t bytes, HANDLE& section) {
  LARGE_INTEGER size;
  size.QuadPart = static_cast<LONGLONG>(bytes);
  OBJECT_ATTRIBUTES attributes;
  InitializeObjectAttributes(&attributes, nullptr, 0, nullptr, nullptr);
  if (!NT_SUCCESS(ZwCreateSection(&section, SECTION_ALL_ACCESS, &attributes, &size, PAGE_READWRITE, SEC_COMMIT, nullptr))) {
    return nullptr;
  }
  PVOID base = nullptr;
  SIZE_T mapped = 0;
  if (NT_SUCCESS(ZwMapViewOfSection(section, NtCurrentProcess(), &base, 0, 0, nullptr, &mapped, ViewUnmap, 0,
                                    PAGE_READWRITE))) {
    return base;
  }
  ZwClose(section);
  return nullptr;
}

void* allocate_heap(size_t bytes) {
  auto* const whole = static_cast<uint8_t*>(std::malloc(bytes + 2 * guard_bytes));
  if (whole == nullptr) return nullptr;
  std::memset(whole, guard_byte, guard_bytes);
  std::memset(whole + guard_bytes + bytes, guard_byte, guard_bytes);
  return whole + guard_bytes;
}

PVOID allocate(size_t bytes, ULONG tag, uint8_t fill) {
  if (bytes == 0 || tag == 0) report_pool_violation("pool allocated without bytes, or without a tag");
  block made{bytes, tag, nullptr};
  void* const memory = bytes >= PAGE_SIZE ? allocate_section(bytes, made.section) : allocate_heap(bytes);
  if (memory == nullptr) return nullptr;
  if (made.section == nullptr || fill != 0) std::memset(memory, fill, bytes);
  const locked held(blocks_lock);
  blocks()[reinterpret_cast<uintptr_t>(memory)] = made;
  return memory;
}

bool guards_stand(const uint8_t* memory, size_t bytes) {
  for (size_t i = 0; i < guard_bytes; ++i) {
    if (memory[i - guard_bytes] != guard_byte || memory[bytes + i] != guard_byte) return false;
  }
  return true;
}

void NTAPI free_with_tag(PVOID memory, ULONG tag) {
  block gone;
  {
    const locked held(blocks_lock);
    const auto found = blocks().find(reinterpret_cast<uintptr_t>(memory));
    if (found == blocks().end()) {
      report_pool_violation("pool freed that is not allocated");
      return;
    }
    gone = found->second;
    blocks().erase(found);
  }
  if (tag != 0 && tag != gone.tag) report_pool_violation("pool freed with another tag");
  if (gone.section != nullptr) {
    ZwUnmapViewOfSection(NtCurrentProcess(), memory);
    ZwClose(gone.section);
    return;
  }
  auto* const bytes = static_cast<uint8_t*>(memory);
  if (!guards_stand(bytes, gone.bytes)) report_pool_violation("pool written outside its block");
  std::memset(bytes - guard_bytes, freed_byte, gone.bytes + 2 * guard_bytes);
  std::free(bytes - guard_bytes);
}

void NTAPI free_untagged(PVOID memory) { free_with_tag(memory, 0); }

PVOID NTAPI allocate_with_tag(POOL_TYPE type, SIZE_T bytes, ULONG tag) {
  require_irql((type & PagedPool) != 0 ? APC_LEVEL : DISPATCH_LEVEL, "ExAllocatePoolWithTag");
  return allocate(bytes, tag, fresh_byte);
}

PVOID NTAPI allocate2(ULONG64 flags, SIZE_T bytes, ULONG tag) {
  require_irql((flags & POOL_FLAG_PAGED) != 0 ? APC_LEVEL : DISPATCH_LEVEL, "ExAllocatePool2");
  return allocate(bytes, tag, (flags & POOL_FLAG_UNINITIALIZED) != 0 ? fresh_byte : 0);
}

const kernel_function table[] = {
    {"ExAllocatePoolWithTag", address_of(&allocate_with_tag), any_irql},
    {"ExAllocatePool2", address_of(&allocate2), any_irql},
    {"ExFreePoolWithTag", address_of(&free_with_tag), DISPATCH_LEVEL},
    {"ExFreePool", address_of(&free_untagged), DISPATCH_LEVEL},
};

}  // namespace

pool_place find_in_pool(const void* memory) {
  const auto at = reinterpret_cast<uintptr_t>(memory);
  const locked held(blocks_lock);
  auto next = blocks().upper_bound(at);
  if (next == blocks().begin()) return {};
  const auto& [begin, found] = *--next;
  if (at - begin >= found.bytes || found.section == nullptr) return {};
  return {found.section, at - begin};
}

uint64_t pool_blocks() {
  const locked held(blocks_lock);
  return blocks().size();
}

std::span<const kernel_function> pool_functions() { return table; }

}  // namespace sluice::wine
