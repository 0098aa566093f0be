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

EXTERN_C_END
