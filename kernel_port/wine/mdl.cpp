// Memory that a driver shares with a process: MDLs over pool, mapped into the process that is current (or attached to).
#include <list>

#include "kernel_port/wine/imports.h"
#include "kernel_port/wine/pool.h"
#include "kernel_port/wine/processes.h"
#include "kernel_port/wine/rules.h"

extern "C" __declspec(dllimport) VOID NTAPI RtlRaiseStatus(NTSTATUS status);

namespace sluice::wine {
namespace {

constexpr uint64_t granularity = 64 * 1024;  // of an offset into a section
constexpr ULONG page_no_access = 0x01;
constexpr ULONG page_read_only = 0x02;
constexpr ULONG page_read_write = 0x04;
constexpr ULONG all_access = 0x1fffff;

struct user_view {
  PVOID address;
  PVOID base;   // of the view, which may begin earlier
  uint32_t pid;
};
lock views_lock;
std::list<user_view>& views() {
  static auto* const made = new std::list<user_view>;
  return *made;
}

class process_handle {
 public:
  explicit process_handle(uint32_t pid) : handle_(OpenProcess(all_access, FALSE, pid)) {}
  ~process_handle() {
    if (handle_ != nullptr) CloseHandle(handle_);
  }
  process_handle(const process_handle&) = delete;
  process_handle& operator=(const process_handle&) = delete;
  HANDLE get() const { return handle_; }

 private:
  HANDLE handle_;
};

void NTAPI build_for_nonpaged_pool(PMDL mdl) {
  mdl->MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL;
  mdl->MappedSystemVa = MmGetMdlVirtualAddress(mdl);
}

// Null: the process has no room, or is gone.
PVOID map_into(uint32_t pid, const pool_place& from, size_t bytes, bool writable) {
  const process_handle process(pid);
  if (process.get() == nullptr) return nullptr;
  const uint64_t before = from.offset % granularity;
  LARGE_INTEGER offset;
  offset.QuadPart = static_cast<LONGLONG>(from.offset - before);
  PVOID base = nullptr;
  SIZE_T view = before + bytes;
  if (!NT_SUCCESS(ZwMapViewOfSection(from.section, process.get(), &base, 0, 0, &offset, &view, ViewUnmap, 0,
                                     writable ? page_read_write : page_read_only))) {
    return nullptr;
  }
  // What a section's granularity maps besides is not the client's.
  ULONG protection = 0;
  auto* const address = static_cast<uint8_t*>(base) + before;
  if (before != 0) VirtualProtectEx(process.get(), base, before, page_no_access, &protection);
  if (view > before + bytes) VirtualProtectEx(process.get(), address + bytes, view - before - bytes, page_no_access, &protection);
  const locked held(views_lock);
  views().push_back({address, base, pid});
  return address;
}

PVOID NTAPI map_locked_pages(PMDL mdl, KPROCESSOR_MODE mode, MEMORY_CACHING_TYPE, PVOID, ULONG, ULONG priority) {
  if (mode == KernelMode) {
    require_irql(DISPATCH_LEVEL, "MmMapLockedPagesSpecifyCache(KernelMode)");
    return MmGetMdlVirtualAddress(mdl);
  }
  require_irql(APC_LEVEL, "MmMapLockedPagesSpecifyCache(UserMode)");
  const pool_place place = find_in_pool(MmGetMdlVirtualAddress(mdl));
  if (place.section == nullptr) {
    report_violation("pages mapped that are not whole pages of pool");
    RtlRaiseStatus(STATUS_INSUFFICIENT_RESOURCES);
  }
  PVOID const mapped =
      map_into(attached_process(), place, MmGetMdlByteCount(mdl), (priority & MdlMappingNoWrite) == 0);
  if (mapped == nullptr) RtlRaiseStatus(STATUS_INSUFFICIENT_RESOURCES);  // as Windows: an exception for UserMode
  return mapped;
}

void NTAPI unmap_locked_pages(PVOID address, PMDL mdl) {
  if (address == MmGetMdlVirtualAddress(mdl)) return;
  require_irql(APC_LEVEL, "MmUnmapLockedPages(UserMode)");
  const uint32_t pid = attached_process();
  PVOID base = nullptr;
  {
    const locked held(views_lock);
    for (auto each = views().begin(); each != views().end(); ++each) {
      if (each->address != address || each->pid != pid) continue;
      base = each->base;
      views().erase(each);
      break;
    }
  }
  if (base == nullptr) {
    report_violation("pages unmapped that are not mapped in this process");
    return;
  }
  const process_handle process(pid);
  if (process.get() != nullptr) ZwUnmapViewOfSection(process.get(), base);  // gone with the process otherwise
}

const kernel_function table[] = {
    {"MmBuildMdlForNonPagedPool", address_of(&build_for_nonpaged_pool), DISPATCH_LEVEL},
    {"MmMapLockedPagesSpecifyCache", address_of(&map_locked_pages), any_irql},
    {"MmUnmapLockedPages", address_of(&unmap_locked_pages), any_irql},
};

}  // namespace

std::span<const kernel_function> mdl_functions() { return table; }

}  // namespace sluice::wine
