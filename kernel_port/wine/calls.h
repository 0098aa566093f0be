// What the substitutes call of the process that Wine runs drivers in: winedevice.exe has kernel32 and ntdll. Declared by hand, since
// <windows.h> and the kernel's headers do not go together.
#pragma once

#include "kernel_port/nt/nt.h"

extern "C" {

#define SLUICE_WIN32 __declspec(dllimport)
SLUICE_WIN32 ULONG WINAPI TlsAlloc(void);
SLUICE_WIN32 PVOID WINAPI TlsGetValue(ULONG);
SLUICE_WIN32 int WINAPI TlsSetValue(ULONG, PVOID);
SLUICE_WIN32 HANDLE WINAPI CreateThread(PVOID, SIZE_T, ULONG(WINAPI*)(PVOID), PVOID, ULONG, PULONG);
SLUICE_WIN32 ULONG_PTR WINAPI SetThreadAffinityMask(HANDLE, ULONG_PTR);
SLUICE_WIN32 ULONG WINAPI GetCurrentThreadId(void);
SLUICE_WIN32 ULONG WINAPI GetCurrentProcessorNumber(void);
SLUICE_WIN32 int WINAPI SwitchToThread(void);
SLUICE_WIN32 VOID WINAPI Sleep(ULONG);
SLUICE_WIN32 HANDLE WINAPI CreateEventW(PVOID, int, int, PCWSTR);
SLUICE_WIN32 int WINAPI SetEvent(HANDLE);
SLUICE_WIN32 int WINAPI ResetEvent(HANDLE);
SLUICE_WIN32 HANDLE WINAPI CreateSemaphoreW(PVOID, LONG, LONG, PCWSTR);
SLUICE_WIN32 int WINAPI ReleaseSemaphore(HANDLE, LONG, PLONG);
SLUICE_WIN32 ULONG WINAPI WaitForSingleObject(HANDLE, ULONG);
SLUICE_WIN32 int WINAPI CloseHandle(HANDLE);
SLUICE_WIN32 HANDLE WINAPI OpenProcess(ULONG, int, ULONG);
SLUICE_WIN32 int WINAPI GetExitCodeProcess(HANDLE, PULONG);
SLUICE_WIN32 int WINAPI ReadProcessMemory(HANDLE, const void*, PVOID, SIZE_T, SIZE_T*);
SLUICE_WIN32 int WINAPI WriteProcessMemory(HANDLE, PVOID, const void*, SIZE_T, SIZE_T*);
SLUICE_WIN32 PVOID WINAPI VirtualAlloc(PVOID, SIZE_T, ULONG, ULONG);
SLUICE_WIN32 int WINAPI VirtualFree(PVOID, SIZE_T, ULONG);
SLUICE_WIN32 int WINAPI VirtualProtect(PVOID, SIZE_T, ULONG, PULONG);
SLUICE_WIN32 int WINAPI VirtualProtectEx(HANDLE, PVOID, SIZE_T, ULONG, PULONG);
SLUICE_WIN32 VOID WINAPI GetSystemTimePreciseAsFileTime(PLARGE_INTEGER);
SLUICE_WIN32 PVOID WINAPI GetModuleHandleW(PCWSTR);
SLUICE_WIN32 PVOID WINAPI GetProcAddress(PVOID, PCSTR);
SLUICE_WIN32 PVOID WINAPI AddVectoredExceptionHandler(ULONG, PVOID);
SLUICE_WIN32 VOID WINAPI AcquireSRWLockExclusive(PVOID*);
SLUICE_WIN32 VOID WINAPI ReleaseSRWLockExclusive(PVOID*);
#undef SLUICE_WIN32

// Of ntdll and Wine's ntoskrnl.
NTSTATUS NTAPI IoCreateDriver(PUNICODE_STRING name, PDRIVER_INITIALIZE start);
NTSTATUS NTAPI LdrRegisterDllNotification(ULONG flags, PVOID routine, PVOID context, PVOID* cookie);
NTSTATUS NTAPI LdrAddRefDll(ULONG flags, PVOID module);
NTSTATUS NTAPI ZwQuerySystemInformation(ULONG what, PVOID buffer, ULONG bytes, PULONG needed);

}  // extern "C"

namespace sluice::wine {

// A mutual exclusion of the emulation's own: not of the emulated kernel, so no IRQL belongs to it.
class lock {
 public:
  void acquire() { AcquireSRWLockExclusive(&word_); }
  void release() { ReleaseSRWLockExclusive(&word_); }

 private:
  PVOID word_ = nullptr;
};

class locked {
 public:
  explicit locked(lock& mutex) : mutex_(mutex) { mutex_.acquire(); }
  ~locked() { mutex_.release(); }
  locked(const locked&) = delete;
  locked& operator=(const locked&) = delete;

 private:
  lock& mutex_;
};

inline constexpr ULONG for_ever = 0xffffffff;
inline constexpr ULONG wait_timed_out = 0x102;

}  // namespace sluice::wine
