// Mm: the little of it that drivers here use.
#pragma once

EXTERN_C_START

// PASSIVE. Case-sensitive. NULL for what the machine's kernel level does not have.
PVOID MmGetSystemRoutineAddress(PUNICODE_STRING SystemRoutineName);

typedef enum _MM_PAGE_PRIORITY {
  LowPagePriority,
  NormalPagePriority = 16,
  HighPagePriority = 32
} MM_PAGE_PRIORITY;
#define MdlMappingNoWrite 0x80000000
#define MdlMappingNoExecute 0x40000000
PVOID MmGetSystemAddressForMdlSafe(PMDL Mdl, ULONG Priority);  // <= DISPATCH
#define MmGetMdlByteCount(mdl) ((mdl)->ByteCount)
#define MmGetMdlVirtualAddress(mdl) ((PVOID)((PCHAR)((mdl)->StartVa) + (mdl)->ByteOffset))
BOOLEAN MmIsAddressValid(PVOID VirtualAddress);

// Memory descriptor lists: without a request, of non-paged pool. <= DISPATCH.
PMDL IoAllocateMdl(PVOID VirtualAddress, ULONG Length, BOOLEAN SecondaryBuffer, BOOLEAN ChargeQuota, PIRP Irp);
VOID IoFreeMdl(PMDL Mdl);
VOID MmBuildMdlForNonPagedPool(PMDL MemoryDescriptorList);

typedef enum _MEMORY_CACHING_TYPE { MmNonCached = FALSE, MmCached = TRUE, MmWriteCombined = 2 } MEMORY_CACHING_TYPE;
// UserMode only, into the current process: <= APC, and raises an exception where there is no room. Unmapped in the same process.
PVOID MmMapLockedPagesSpecifyCache(PMDL MemoryDescriptorList, KPROCESSOR_MODE AccessMode, MEMORY_CACHING_TYPE CacheType,
                                   PVOID RequestedAddress, ULONG BugCheckOnFailure, ULONG Priority);
VOID MmUnmapLockedPages(PVOID BaseAddress, PMDL MemoryDescriptorList);  // <= APC

EXTERN_C_END
