// <ntifs.h> of mingw-w64, as driver code of the WDK expects it. Only kernel_port/nt/nt.h includes this.
//
// mingw-w64 10 declares the kernel as of about Windows 7, with a few slips. What is added or put right here follows the
// public documentation of the Windows driver kit. Functions that not every supported kernel exports are declared so that
// their types can be named (decltype); a driver looks them up with MmGetSystemRoutineAddress. One that it imports all the
// same is refused by tests/gates/pe_gate.py.
#pragma once

#if !defined(_WIN32_WINNT) || _WIN32_WINNT < 0x0A00 || !defined(NTDDI_VERSION) || NTDDI_VERSION < 0x0A000000
#error "build with -D_WIN32_WINNT=0x0A00 -DNTDDI_VERSION=0x0A000000 (kernel_port/nt/build_driver.cmake does)"
#endif

// The DDK headers define these two again, with C linkage, after the compiler's intrinsics header has done so.
#ifndef __INTRINSIC_DEFINED_InterlockedBitTestAndSet
#define __INTRINSIC_DEFINED_InterlockedBitTestAndSet
#endif
#ifndef __INTRINSIC_DEFINED_InterlockedBitTestAndReset
#define __INTRINSIC_DEFINED_InterlockedBitTestAndReset
#endif

// Declarations that are too old or wrong get another name while the headers are read, and are declared anew below.
#define _PS_CREATE_NOTIFY_INFO _mingw_PS_CREATE_NOTIFY_INFO
#define PS_CREATE_NOTIFY_INFO mingw_PS_CREATE_NOTIFY_INFO
#define PPS_CREATE_NOTIFY_INFO mingw_PPS_CREATE_NOTIFY_INFO
#define PCREATE_PROCESS_NOTIFY_ROUTINE_EX mingw_PCREATE_PROCESS_NOTIFY_ROUTINE_EX
#define PsSetCreateProcessNotifyRoutineEx mingw_PsSetCreateProcessNotifyRoutineEx
#define _IMAGE_INFO _mingw_IMAGE_INFO
#define IMAGE_INFO mingw_IMAGE_INFO
#define PIMAGE_INFO mingw_PIMAGE_INFO
#define _IMAGE_INFO_EX _mingw_IMAGE_INFO_EX
#define IMAGE_INFO_EX mingw_IMAGE_INFO_EX
#define PIMAGE_INFO_EX mingw_PIMAGE_INFO_EX
#define PLOAD_IMAGE_NOTIFY_ROUTINE mingw_PLOAD_IMAGE_NOTIFY_ROUTINE
#define PsSetLoadImageNotifyRoutine mingw_PsSetLoadImageNotifyRoutine
#define PsRemoveLoadImageNotifyRoutine mingw_PsRemoveLoadImageNotifyRoutine
#define PsProcessType mingw_PsProcessType
#define PsThreadType mingw_PsThreadType

extern "C" {
#include <ntifs.h>
}

#undef _PS_CREATE_NOTIFY_INFO
#undef PS_CREATE_NOTIFY_INFO
#undef PPS_CREATE_NOTIFY_INFO
#undef PCREATE_PROCESS_NOTIFY_ROUTINE_EX
#undef PsSetCreateProcessNotifyRoutineEx
#undef _IMAGE_INFO
#undef IMAGE_INFO
#undef PIMAGE_INFO
#undef _IMAGE_INFO_EX
#undef IMAGE_INFO_EX
#undef PIMAGE_INFO_EX
#undef PLOAD_IMAGE_NOTIFY_ROUTINE
#undef PsSetLoadImageNotifyRoutine
#undef PsRemoveLoadImageNotifyRoutine
#undef PsProcessType
#undef PsThreadType

// --- Annotations that mingw-w64 lacks: they cost nothing here, and analysis reads them with the WDK -------------------

#ifndef _IRQL_saves_global_
#define _IRQL_saves_global_(kind, parameter)
#endif
#ifndef _IRQL_restores_global_
#define _IRQL_restores_global_(kind, parameter)
#endif
#ifndef _IRQL_always_function_max_
#define _IRQL_always_function_max_(irql)
#endif
#ifndef _IRQL_always_function_min_
#define _IRQL_always_function_min_(irql)
#endif
#ifndef _Kernel_clear_do_init_
#define _Kernel_clear_do_init_(value)
#endif
#ifndef _Dispatch_type_
#define _Dispatch_type_(type)
#endif
#ifndef _Kernel_requires_resource_held_
#define _Kernel_requires_resource_held_(kind)
#endif
#ifndef _Kernel_requires_resource_not_held_
#define _Kernel_requires_resource_not_held_(kind)
#endif
#ifndef _Kernel_acquires_resource_
#define _Kernel_acquires_resource_(kind)
#endif
#ifndef _Kernel_releases_resource_
#define _Kernel_releases_resource_(kind)
#endif
#ifndef _Interlocked_operand_
#define _Interlocked_operand_
#endif

extern "C" {

// --- Processors ------------------------------------------------------------------------------------------------------

// The kernels that lack KeGetCurrentProcessorNumberEx do not export the old function either: the WDK has it read the processor's control
// region, where the number is one byte on every kernel before groups. mingw-w64 reads two on x86-64.
__forceinline ULONG read_processor_number(VOID) {
  UCHAR number = 0;
#if defined(__x86_64__)
  __asm__ volatile("movb %%gs:0x184, %0" : "=q"(number));
#elif defined(__i386__)
  __asm__ volatile("movb %%fs:0x51, %0" : "=q"(number));
#endif  // ARM64: there is no kernel without groups
  return number;
}
#define KeGetCurrentProcessorNumber read_processor_number

// --- Interlocked operations on 64 bits ----------------------------------------------------------------------------------

// mingw-w64 has them for 64-bit machines only. `lock cmpxchg8b`, as the WDK's own: every processor since the Pentium, and no
// floating-point register.
#if defined(__i386__)
__forceinline LONG64 InterlockedCompareExchange64(LONG64 volatile* Destination, LONG64 Exchange, LONG64 Comparand) {
  return __sync_val_compare_and_swap(Destination, Comparand, Exchange);
}
__forceinline LONG64 InterlockedIncrement64(LONG64 volatile* Addend) {
  LONG64 seen = *Addend;  // may be torn; the comparison finds out
  for (;;) {
    const LONG64 found = InterlockedCompareExchange64(Addend, seen + 1, seen);
    if (found == seen) return seen + 1;
    seen = found;
  }
}
#endif

// --- Processes -------------------------------------------------------------------------------------------------------

typedef struct _PS_CREATE_NOTIFY_INFO {
  SIZE_T Size;
  union {
    ULONG Flags;
    struct {
      ULONG FileOpenNameAvailable : 1;
      ULONG IsSubsystemProcess : 1;
      ULONG Reserved : 30;
    };
  };
  HANDLE ParentProcessId;
  CLIENT_ID CreatingThreadId;
  struct _FILE_OBJECT* FileObject;
  PCUNICODE_STRING ImageFileName;
  PCUNICODE_STRING CommandLine;
  NTSTATUS CreationStatus;
} PS_CREATE_NOTIFY_INFO, *PPS_CREATE_NOTIFY_INFO;

typedef VOID(NTAPI* PCREATE_PROCESS_NOTIFY_ROUTINE_EX)(PEPROCESS Process, HANDLE ProcessId,
                                                       PPS_CREATE_NOTIFY_INFO CreateInfo);

typedef enum _PSCREATEPROCESSNOTIFYTYPE { PsCreateProcessNotifySubsystems = 0 } PSCREATEPROCESSNOTIFYTYPE;

// Vista SP1; refuses images linked without FORCE_INTEGRITY. PASSIVE_LEVEL.
NTSTATUS NTAPI PsSetCreateProcessNotifyRoutineEx(PCREATE_PROCESS_NOTIFY_ROUTINE_EX NotifyRoutine, BOOLEAN Remove);
// Windows 10 1703. PASSIVE_LEVEL.
NTSTATUS NTAPI PsSetCreateProcessNotifyRoutineEx2(PSCREATEPROCESSNOTIFYTYPE NotifyType, PVOID NotifyInformation,
                                                  BOOLEAN Remove);

// Windows 10 1703; a number that no other process of this boot has had. Any IRQL.
ULONGLONG NTAPI PsGetProcessStartKey(PEPROCESS Process);
// Any IRQL.
NTSTATUS NTAPI PsGetProcessExitStatus(PEPROCESS Process);

// --- Threads ---------------------------------------------------------------------------------------------------------

typedef enum _PSCREATETHREADNOTIFYTYPE {
  PsCreateThreadNotifyNonSystem = 0,
  PsCreateThreadNotifySubsystems = 1,
} PSCREATETHREADNOTIFYTYPE;

#ifndef THREAD_QUERY_INFORMATION
#define THREAD_QUERY_INFORMATION 0x0040
#endif

// Windows 10. PASSIVE_LEVEL.
NTSTATUS NTAPI PsSetCreateThreadNotifyRoutineEx(PSCREATETHREADNOTIFYTYPE NotifyType, PVOID NotifyInformation);

// PASSIVE_LEVEL.
NTSYSAPI NTSTATUS NTAPI ZwQueryInformationThread(HANDLE ThreadHandle, THREADINFOCLASS ThreadInformationClass,
                                                 PVOID ThreadInformation, ULONG ThreadInformationLength,
                                                 PULONG ReturnLength);

// --- Images ----------------------------------------------------------------------------------------------------------

typedef struct _IMAGE_INFO {
  union {
    ULONG Properties;
    struct {
      ULONG ImageAddressingMode : 8;
      ULONG SystemModeImage : 1;
      ULONG ImageMappedToAllPids : 1;
      ULONG ExtendedInfoPresent : 1;
      ULONG MachineTypeMismatch : 1;
      ULONG ImageSignatureLevel : 4;
      ULONG ImageSignatureType : 3;
      ULONG ImagePartialMap : 1;
      ULONG Reserved : 12;
    };
  };
  PVOID ImageBase;
  ULONG ImageSelector;
  SIZE_T ImageSize;
  ULONG ImageSectionNumber;
} IMAGE_INFO, *PIMAGE_INFO;

typedef struct _IMAGE_INFO_EX {
  SIZE_T Size;
  IMAGE_INFO ImageInfo;
  struct _FILE_OBJECT* FileObject;
} IMAGE_INFO_EX, *PIMAGE_INFO_EX;

typedef VOID(NTAPI* PLOAD_IMAGE_NOTIFY_ROUTINE)(PUNICODE_STRING FullImageName, HANDLE ProcessId, PIMAGE_INFO ImageInfo);

#ifndef PS_IMAGE_NOTIFY_CONFLICTING_ARCHITECTURE
#define PS_IMAGE_NOTIFY_CONFLICTING_ARCHITECTURE 0x1
#endif

NTKERNELAPI NTSTATUS NTAPI PsSetLoadImageNotifyRoutine(PLOAD_IMAGE_NOTIFY_ROUTINE NotifyRoutine);
NTKERNELAPI NTSTATUS NTAPI PsRemoveLoadImageNotifyRoutine(PLOAD_IMAGE_NOTIFY_ROUTINE NotifyRoutine);
// Windows 10 1709. PASSIVE_LEVEL.
NTSTATUS NTAPI PsSetLoadImageNotifyRoutineEx(PLOAD_IMAGE_NOTIFY_ROUTINE NotifyRoutine, ULONG_PTR Flags);

// --- Pool, clock -----------------------------------------------------------------------------------------------------

#ifndef POOL_FLAG_NON_PAGED
typedef ULONG64 POOL_FLAGS;
#define POOL_FLAG_UNINITIALIZED 0x0000000000000002ULL
#define POOL_FLAG_NON_PAGED 0x0000000000000040ULL
#define POOL_FLAG_NON_PAGED_EXECUTE 0x0000000000000080ULL
#define POOL_FLAG_PAGED 0x0000000000000100ULL
#endif

// Windows 10 2004. <= DISPATCH_LEVEL for non-paged pool.
PVOID NTAPI ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag);

// Windows 8. Any IRQL.
VOID NTAPI KeQuerySystemTimePrecise(PLARGE_INTEGER CurrentTime);

// --- Memory -----------------------------------------------------------------------------------------------------------

// Flags of MM_PAGE_PRIORITY: Windows 8. A kernel before that ignores them.
#ifndef MdlMappingNoWrite
#define MdlMappingNoWrite 0x80000000
#define MdlMappingNoExecute 0x40000000
#endif

// --- Object types ----------------------------------------------------------------------------------------------------

// The kernel exports a variable of type POBJECT_TYPE. The WDK's PsThreadType is that variable's address, so drivers write
// *PsThreadType; mingw-w64 declares the variable itself with the address's type, and *PsThreadType would read the type
// object's first word.
__declspec(dllimport) extern POBJECT_TYPE PsProcessType;
__declspec(dllimport) extern POBJECT_TYPE PsThreadType;
#define PsProcessType (&PsProcessType)
#define PsThreadType (&PsThreadType)

}  // extern "C"
