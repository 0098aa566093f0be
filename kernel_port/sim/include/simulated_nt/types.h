// The base types of NT, with NT's sizes on x64: LONG and ULONG have 32 bits whatever `long` has here.
#pragma once

#if defined(__cplusplus)
#define EXTERN_C_START extern "C" {
#define EXTERN_C_END }
#define EXTERN_C extern "C"
#else
#include <uchar.h>
#define EXTERN_C_START
#define EXTERN_C_END
#define EXTERN_C extern
#endif

#ifndef NULL
#define NULL 0
#endif
#ifndef TRUE
#define TRUE 1
#define FALSE 0
#endif
#define MAXULONG 0xffffffffu
#define MAXLONG 0x7fffffff
#define MAXUSHORT 0xffffu
#define MAXULONG_PTR (~(ULONG_PTR)0)
#define ANYSIZE_ARRAY 1

EXTERN_C_START

typedef void VOID;
typedef char CHAR, CCHAR;
typedef signed char SCHAR;
typedef unsigned char UCHAR, BYTE;
typedef int16_t SHORT, CSHORT;
typedef uint16_t USHORT;
typedef int32_t LONG, INT;
typedef uint32_t ULONG, UINT, DWORD, ULONG32, UINT32, DWORD32;
typedef int32_t LONG32, INT32;
typedef uint16_t UINT16, WORD;
typedef int16_t INT16;
typedef uint8_t UINT8;
typedef int8_t INT8;
typedef int64_t LONGLONG, LONG64, INT64;
typedef uint64_t ULONGLONG, ULONG64, UINT64, DWORD64;
typedef intptr_t LONG_PTR, INT_PTR, SSIZE_T;
typedef uintptr_t ULONG_PTR, UINT_PTR, DWORD_PTR;
typedef size_t SIZE_T;
typedef ULONG_PTR KAFFINITY;
typedef UCHAR BOOLEAN;
typedef int BOOL;
#if __SIZEOF_WCHAR_T__ == 2
typedef wchar_t WCHAR;  // compiled with -fshort-wchar: L"" literals are NT's
#else
typedef char16_t WCHAR;
#endif
typedef LONG NTSTATUS;
typedef UCHAR KIRQL;
typedef SCHAR KPROCESSOR_MODE;
typedef LONG KPRIORITY;
typedef ULONG ACCESS_MASK;
typedef ULONG DEVICE_TYPE;
typedef void* HANDLE;
typedef void* PVOID;
typedef void* PSECURITY_DESCRIPTOR;
typedef LONGLONG PHYSICAL_ADDRESS_QUAD;

typedef VOID* LPVOID;
typedef const VOID* PCVOID;
typedef CHAR *PCHAR, *PSTR, *PSZ;
typedef const CHAR *PCSTR, *PCSZ;
typedef UCHAR *PUCHAR, *PBYTE;
typedef SHORT* PSHORT;
typedef USHORT* PUSHORT;
typedef LONG* PLONG;
typedef ULONG *PULONG, *PDWORD;
typedef LONG64 *PLONG64, *PLONGLONG;
typedef ULONG64 *PULONG64, *PULONGLONG;
typedef LONG_PTR* PLONG_PTR;
typedef ULONG_PTR* PULONG_PTR;
typedef SIZE_T* PSIZE_T;
typedef BOOLEAN* PBOOLEAN;
typedef WCHAR *PWCH, *PWCHAR, *PWSTR, *LPWSTR;
typedef const WCHAR *PCWCH, *PCWSTR, *LPCWSTR;
typedef HANDLE* PHANDLE;
typedef KIRQL* PKIRQL;
typedef NTSTATUS* PNTSTATUS;
typedef ACCESS_MASK* PACCESS_MASK;
typedef KAFFINITY* PKAFFINITY;

typedef union _LARGE_INTEGER {
  struct {
    ULONG LowPart;
    LONG HighPart;
  };
  struct {
    ULONG LowPart;
    LONG HighPart;
  } u;
  LONGLONG QuadPart;
} LARGE_INTEGER, *PLARGE_INTEGER;

typedef union _ULARGE_INTEGER {
  struct {
    ULONG LowPart;
    ULONG HighPart;
  };
  struct {
    ULONG LowPart;
    ULONG HighPart;
  } u;
  ULONGLONG QuadPart;
} ULARGE_INTEGER, *PULARGE_INTEGER;

typedef LARGE_INTEGER PHYSICAL_ADDRESS, *PPHYSICAL_ADDRESS;

typedef struct _UNICODE_STRING {
  USHORT Length;
  USHORT MaximumLength;
  PWCH Buffer;
} UNICODE_STRING, *PUNICODE_STRING;
typedef const UNICODE_STRING* PCUNICODE_STRING;

typedef struct _STRING {
  USHORT Length;
  USHORT MaximumLength;
  PCHAR Buffer;
} STRING, ANSI_STRING, *PSTRING, *PANSI_STRING;
typedef const ANSI_STRING* PCANSI_STRING;

typedef struct _LIST_ENTRY {
  struct _LIST_ENTRY* Flink;
  struct _LIST_ENTRY* Blink;
} LIST_ENTRY, *PLIST_ENTRY, *PRLIST_ENTRY;

typedef struct _SINGLE_LIST_ENTRY {
  struct _SINGLE_LIST_ENTRY* Next;
} SINGLE_LIST_ENTRY, *PSINGLE_LIST_ENTRY;

typedef struct _GUID {
  ULONG Data1;
  USHORT Data2;
  USHORT Data3;
  UCHAR Data4[8];
} GUID, *PGUID;
typedef const GUID* LPCGUID;

typedef struct _CLIENT_ID {
  HANDLE UniqueProcess;
  HANDLE UniqueThread;
} CLIENT_ID, *PCLIENT_ID;

typedef struct _PROCESSOR_NUMBER {
  USHORT Group;
  UCHAR Number;
  UCHAR Reserved;
} PROCESSOR_NUMBER, *PPROCESSOR_NUMBER;

typedef struct _GROUP_AFFINITY {
  KAFFINITY Mask;
  USHORT Group;
  USHORT Reserved[3];
} GROUP_AFFINITY, *PGROUP_AFFINITY;

typedef enum _MODE { KernelMode, UserMode, MaximumMode } MODE;

// Opaque to drivers.
typedef struct _EPROCESS *PEPROCESS, *PKPROCESS, *PRKPROCESS;
typedef struct _KTHREAD *PKTHREAD, *PRKTHREAD, *PETHREAD;
typedef struct _OBJECT_TYPE* POBJECT_TYPE;

#if defined(__cplusplus) && UINTPTR_MAX > 0xffffffffu  // sizes of 64-bit NT
static_assert(sizeof(LONG) == 4 && sizeof(ULONG) == 4 && sizeof(WCHAR) == 2 && sizeof(UNICODE_STRING) == 16);
#endif

EXTERN_C_END

#define UNREFERENCED_PARAMETER(parameter) ((void)(parameter))
#define DBG_UNREFERENCED_PARAMETER(parameter) ((void)(parameter))
#define UNREFERENCED_LOCAL_VARIABLE(variable) ((void)(variable))
#define FIELD_OFFSET(type, field) ((LONG)offsetof(type, field))
#define RTL_FIELD_SIZE(type, field) (sizeof(((type*)0)->field))
#define CONTAINING_RECORD(address, type, field) ((type*)((char*)(address)-offsetof(type, field)))
#define ARRAYSIZE(array) (sizeof(array) / sizeof((array)[0]))
#define RTL_NUMBER_OF(array) ARRAYSIZE(array)
#define ULongToHandle(value) ((HANDLE)(ULONG_PTR)(ULONG)(value))
#define HandleToULong(handle) ((ULONG)(ULONG_PTR)(handle))
#define HandleToUlong(handle) HandleToULong(handle)
#define UlongToHandle(value) ULongToHandle(value)
#define UlongToPtr(value) ((PVOID)(ULONG_PTR)(ULONG)(value))
#define PtrToUlong(pointer) ((ULONG)(ULONG_PTR)(pointer))
#define LODWORD(value) ((ULONG)(value))
#define C_ASSERT(expression) _Static_assert_or_static_assert(expression)
#ifdef __cplusplus
#define _Static_assert_or_static_assert(expression) static_assert(expression, #expression)
#else
#define _Static_assert_or_static_assert(expression) _Static_assert(expression, #expression)
#endif

#define PAGE_SIZE 0x1000
#define PAGE_SHIFT 12
#define MEMORY_ALLOCATION_ALIGNMENT 16
#define SYSTEM_CACHE_ALIGNMENT_SIZE 64
#define ALIGN_DOWN_BY(length, alignment) ((ULONG_PTR)(length) & ~((ULONG_PTR)(alignment)-1))
#define ALIGN_UP_BY(length, alignment) (ALIGN_DOWN_BY((ULONG_PTR)(length) + (alignment)-1, alignment))
#define ROUND_TO_PAGES(size) ALIGN_UP_BY(size, PAGE_SIZE)
#define BYTES_TO_PAGES(size) ((SIZE_T)(ROUND_TO_PAGES(size) >> PAGE_SHIFT))
