// How the simulation says that a rule was broken. docs/simulated-kernel.md lists the codes.
#pragma once

#include <string>

#include "kernel_port/sim/machine.h"
#include "kernel_port/sim/thread_state.h"

namespace sluice::sim {

// Bug check codes, by Windows' names and numbers.
#define SLUICE_BUG_CHECKS(entry)                                                                             \
  entry(APC_INDEX_MISMATCH, 0x01) entry(IRQL_NOT_DISPATCH_LEVEL, 0x08)                                       \
      entry(IRQL_NOT_GREATER_OR_EQUAL, 0x09) entry(IRQL_NOT_LESS_OR_EQUAL, 0x0A) entry(                      \
          SPIN_LOCK_ALREADY_OWNED, 0x0F) entry(SPIN_LOCK_NOT_OWNED, 0x10) entry(REFERENCE_BY_POINTER, 0x18)  \
          entry(BAD_POOL_HEADER, 0x19) entry(KERNEL_APC_PENDING_DURING_EXIT, 0x20)                           \
              entry(MULTIPLE_IRP_COMPLETE_REQUESTS, 0x44) entry(CANCEL_STATE_IN_COMPLETED_IRP, 0x48)         \
                  entry(IRQL_GT_ZERO_AT_SYSTEM_SERVICE, 0x4A) entry(SYSTEM_SERVICE_EXCEPTION, 0x3B) entry(PAGE_FAULT_IN_NONPAGED_AREA, 0x50)       \
                      entry(INVALID_KERNEL_HANDLE, 0x93) entry(INVALID_PROCESS_ATTACH_ATTEMPT, 0x05)                         \
                          entry(INVALID_PROCESS_DETACH_ATTEMPT, 0x06) entry(MEMORY_MANAGEMENT, 0x1A)               \
                              entry(PFN_LIST_CORRUPT, 0x4E) entry(PROCESS_HAS_LOCKED_PAGES, 0x76) entry(ATTEMPTED_SWITCH_FROM_DPC, 0xB8)              \
                          entry(SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, 0xC1) entry(BAD_POOL_CALLER, 0xC2)  \
                              entry(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xC4)                                \
                                  entry(TIMER_OR_DPC_INVALID, 0xC7) entry(IRQL_UNEXPECTED_VALUE, 0xC8)       \
                                      entry(DRIVER_VERIFIER_IOMANAGER_VIOLATION, 0xC9)                       \
                                          entry(DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS, 0xCE) \
                                              entry(DRIVER_IRQL_NOT_LESS_OR_EQUAL, 0xD1)                     \
                                                  entry(MANUALLY_INITIATED_CRASH, 0xE2)                      \
                                                      entry(WORKER_THREAD_RETURNED_AT_BAD_IRQL, 0xE1) entry( \
                                                          MANUALLY_INITIATED_CRASH1, 0xDEADDEAD)             \
                                                          entry(THREAD_TERMINATE_HELD_MUTEX, 0x4000008A)     \
                                                              entry(KERNEL_SECURITY_CHECK_FAILURE, 0x139)

enum class bug : uint32_t {
#define SLUICE_ENTRY(name, code) name = code,
  SLUICE_BUG_CHECKS(SLUICE_ENTRY)
#undef SLUICE_ENTRY
};

const char* name_of_bug_check(uint32_t code);

// `format` makes the sentence that says what was done wrong.
[[noreturn, gnu::format(printf, 6, 7)]] void stop(bug code, uint64_t argument1, uint64_t argument2,
                                                  uint64_t argument3, uint64_t argument4, const char* format,
                                                  ...);

// The machine itself was used wrongly (by a test or a tool, not by a driver): a sentence, a stack, abort.
[[noreturn, gnu::format(printf, 1, 2)]] void misuse(const char* format, ...);

[[noreturn]] void stop_irql_too_high(const char* function, KIRQL maximum);

// The function is called at `maximum` or below, by a thread of the machine. Driver Verifier: 0xC4, 0xE5.
inline thread_state& require_irql_at_most(KIRQL maximum, const char* function) {
  thread_state& thread = self();
  if (thread.irql > maximum) [[unlikely]]
    stop_irql_too_high(function, maximum);
  return thread;
}

template <class T>
uint64_t as_argument(T* pointer) {
  return reinterpret_cast<uint64_t>(pointer);
}

// A copy; empty for none.
inline std::u16string text_of(PCUNICODE_STRING string) {
  if (string == nullptr || string->Length == 0) return {};
  return {reinterpret_cast<const char16_t*>(string->Buffer), string->Length / sizeof(WCHAR)};
}

// The number of a process or thread, as routines are given it.
inline HANDLE as_handle(uint32_t id) {
  return reinterpret_cast<HANDLE>(static_cast<uintptr_t>(id));
}

}  // namespace sluice::sim
