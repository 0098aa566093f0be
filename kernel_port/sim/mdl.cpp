#include "kernel_port/sim/mdl.h"

#include <unistd.h>

#include <algorithm>

#include "kernel_port/sim/implementation.h"
#include "producers/user_mapping.h"

namespace sluice::sim {
namespace {

constexpr uint32_t mdl_tag = 'ldM ';

char* pages_of(const MDL* mdl) { return static_cast<char*>(mdl->StartVa); }
size_t bytes_of_pages(const MDL* mdl) {
  return (size_t{mdl->ByteOffset} + mdl->ByteCount + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE;
}

// ThreadSanitizer knows memory by its address: what one view releases, it does not see acquired through another. There, what a
// process of this host process may write to lies where the kernel has it, and only there is it not taken away again.
#ifdef __SANITIZE_THREAD__
constexpr bool one_view_for_stores = true;
#else
constexpr bool one_view_for_stores = false;
#endif

}  // namespace

NTSTATUS process_mappings::map(PMDL mdl, bool writable, void*& address) {
  machine::implementation& machine = the_machine();
  if (const NTSTATUS failed = machine.injected_failure(machine::failure::user_mapping); failed != STATUS_SUCCESS) return failed;
  if (machine.shared == nullptr) return STATUS_NOT_SUPPORTED;
  char* const memory = pages_of(mdl);
  const size_t bytes = bytes_of_pages(mdl);
  const shared_memory::view view =
      writable ? machine.shared->for_writing(memory, bytes) : machine.shared->for_reading(memory, bytes);
  if (view.descriptor < 0) return STATUS_INSUFFICIENT_RESOURCES;
  const uint32_t pid = PsGetCurrentProcess()->pid;
  const std::shared_ptr<address_space> space = machine.spaces.of(pid);
  uint64_t user = 0;
  NTSTATUS status = STATUS_SUCCESS;
  if (one_view_for_stores && writable && space->is_here()) {
    user = reinterpret_cast<uint64_t>(memory);
  } else {
    status = space->map(view.descriptor, view.offset, bytes, writable, user);
  }
  ::close(view.descriptor);
  if (!NT_SUCCESS(status)) {
    if (writable) machine.shared->forbid_writing(memory);
    return status;
  }
  internal_lock lock(mutex_);
  mappings_.push_back({mdl, memory, bytes, pid, user, writable, space});
  address = reinterpret_cast<void*>(user + mdl->ByteOffset);
  return STATUS_SUCCESS;
}

void process_mappings::unmap(void* address, PMDL mdl) {
  const uint32_t pid = PsGetCurrentProcess()->pid;
  mapping found{};
  {
    internal_lock lock(mutex_);
    const auto place = std::find_if(mappings_.begin(), mappings_.end(), [&](const mapping& each) {
      return each.mdl == mdl && each.pid == pid && reinterpret_cast<void*>(each.address + mdl->ByteOffset) == address;
    });
    if (place == mappings_.end()) {
      stop(bug::MEMORY_MANAGEMENT, 0, as_argument(address), as_argument(mdl), pid,
           "MmUnmapLockedPages in process %u, where this MDL is not mapped at this address.", pid);
    }
    found = *place;
    mappings_.erase(place);
  }
  if (reinterpret_cast<char*>(found.address) != found.memory) found.space->unmap(found.address, found.bytes);
  if (found.writable) the_machine().shared->forbid_writing(found.memory);
}

bool process_mappings::is_mapped(const MDL* mdl) {
  internal_lock lock(mutex_);
  return std::any_of(mappings_.begin(), mappings_.end(), [mdl](const mapping& each) { return each.mdl == mdl; });
}

const void* process_mappings::find_in(const void* memory, size_t bytes) {
  const char* const begin = static_cast<const char*>(memory);
  internal_lock lock(mutex_);
  for (const mapping& each : mappings_) {
    if (each.memory < begin + bytes && begin < each.memory + each.bytes) return each.memory;
  }
  return nullptr;
}

const void* process_mappings::find_of(uint32_t pid) {
  internal_lock lock(mutex_);
  for (const mapping& each : mappings_) {
    if (each.pid == pid) return each.memory;
  }
  return nullptr;
}

uint64_t process_mappings::count() {
  internal_lock lock(mutex_);
  return mappings_.size();
}

}  // namespace sluice::sim

using namespace sluice::sim;

namespace {

NTSTATUS map_checked(PMDL mdl, KPROCESSOR_MODE mode, ULONG priority, PVOID& address) {
  require_irql_at_most(APC_LEVEL, "MmMapLockedPagesSpecifyCache for a process");
  if (mode != UserMode) misuse("MmMapLockedPagesSpecifyCache is simulated for UserMode only");
  if ((mdl->MdlFlags & MDL_SOURCE_IS_NONPAGED_POOL) == 0) {
    stop(bug::MEMORY_MANAGEMENT, 0x1233, as_argument(mdl), 0, 0, "An MDL was mapped whose pages are not locked.");
  }
  return the_machine().mappings.map(mdl, (priority & MdlMappingNoWrite) == 0, address);
}

}  // namespace

extern "C" {

PMDL IoAllocateMdl(PVOID VirtualAddress, ULONG Length, BOOLEAN SecondaryBuffer, BOOLEAN, PIRP Irp) {
  require_irql_at_most(DISPATCH_LEVEL, "IoAllocateMdl");
  if (SecondaryBuffer || Irp) misuse("MDLs are simulated without a request");
  // Pool of the driver's: what it does not free is found at its unload.
  auto* const mdl = static_cast<PMDL>(the_machine().pool.allocate(false, sizeof(MDL), mdl_tag, true));
  if (mdl == nullptr) return nullptr;
  const auto address = reinterpret_cast<uintptr_t>(VirtualAddress);
  mdl->Size = sizeof(MDL);
  mdl->StartVa = reinterpret_cast<PVOID>(address & ~uintptr_t{PAGE_SIZE - 1});
  mdl->ByteOffset = static_cast<ULONG>(address & (PAGE_SIZE - 1));
  mdl->ByteCount = Length;
  return mdl;
}

VOID IoFreeMdl(PMDL Mdl) {
  require_irql_at_most(DISPATCH_LEVEL, "IoFreeMdl");
  if (the_machine().mappings.is_mapped(Mdl)) {
    stop(bug::MEMORY_MANAGEMENT, 0, as_argument(Mdl), 0, 0, "An MDL was freed that is mapped into a process.");
  }
  the_machine().pool.free(Mdl, &mdl_tag, "IoFreeMdl");
}

VOID MmBuildMdlForNonPagedPool(PMDL MemoryDescriptorList) {
  require_irql_at_most(DISPATCH_LEVEL, "MmBuildMdlForNonPagedPool");
  MDL& mdl = *MemoryDescriptorList;
  if (!the_machine().pool.is_nonpaged(pages_of(&mdl) + mdl.ByteOffset, mdl.ByteCount)) {
    stop(bug::MEMORY_MANAGEMENT, 0, as_argument(MmGetMdlVirtualAddress(&mdl)), mdl.ByteCount, 0,
         "MmBuildMdlForNonPagedPool for memory that is not one block of non-paged pool.");
  }
  mdl.MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL;
  mdl.MappedSystemVa = MmGetMdlVirtualAddress(&mdl);
}

PVOID MmMapLockedPagesSpecifyCache(PMDL MemoryDescriptorList, KPROCESSOR_MODE AccessMode, MEMORY_CACHING_TYPE, PVOID,
                                   ULONG, ULONG Priority) {
  PVOID address = nullptr;
  const NTSTATUS status = map_checked(MemoryDescriptorList, AccessMode, Priority, address);
  if (!NT_SUCCESS(status)) {
    stop(bug::SYSTEM_SERVICE_EXCEPTION, static_cast<uint32_t>(status), as_argument(MemoryDescriptorList), 0, 0,
         "MmMapLockedPagesSpecifyCache for a process raised an exception, and nobody handles it.");
  }
  return address;
}

VOID MmUnmapLockedPages(PVOID BaseAddress, PMDL MemoryDescriptorList) {
  require_irql_at_most(APC_LEVEL, "MmUnmapLockedPages of an address of a process");
  the_machine().mappings.unmap(BaseAddress, MemoryDescriptorList);
}

// What the driver's producers/user_mapping.h declares.
NTSTATUS sluice_map_locked_pages(PMDL mdl, ULONG priority, PVOID* address) {
  return map_checked(mdl, UserMode, priority, *address);
}
}
