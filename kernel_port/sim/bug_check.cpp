#include <execinfo.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>

#include "kernel_port/sim/check.h"

namespace sluice::sim {
namespace {

// The report may be written inside a signal handler, or while other threads hold the standard streams: plain
// write(2).
void print(const char* text, size_t length) {
  while (length > 0) {
    const ssize_t written = write(STDERR_FILENO, text, length);
    if (written <= 0) return;
    text += written;
    length -= static_cast<size_t>(written);
  }
}

[[gnu::format(printf, 1, 2)]] void printf_error(const char* format, ...) {
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  const int length = vsnprintf(line, sizeof(line), format, arguments);
  va_end(arguments);
  if (length > 0) print(line, std::min(static_cast<size_t>(length), sizeof(line) - 1));
}

void print_stack() {
  void* frames[64];
  const int count = backtrace(frames, 64);
  print("Stack:\n", 7);
  backtrace_symbols_fd(frames, count, STDERR_FILENO);
}

[[noreturn]] void die() {
  // A fault handler of ours or of a sanitizer must not turn this into another report.
  signal(SIGABRT, SIG_DFL);
  abort();
}

}  // namespace

const char* name_of_bug_check(uint32_t code) {
  switch (static_cast<bug>(code)) {
#define SLUICE_ENTRY(name, number) \
  case bug::name:                  \
    return #name;
    SLUICE_BUG_CHECKS(SLUICE_ENTRY)
#undef SLUICE_ENTRY
  }
  return "UNKNOWN_BUG_CHECK";
}

void bug_check(uint32_t code, const char* name, uint64_t argument1, uint64_t argument2, uint64_t argument3,
               uint64_t argument4, const char* why) {
  const thread_state& thread = self();
  printf_error("\n*** STOP: 0x%08X (0x%016lX, 0x%016lX, 0x%016lX, 0x%016lX)\n*** %s\n", code, argument1,
               argument2, argument3, argument4, name);
  if (why) printf_error("%s\n", why);
  if (thread.host) {
    printf_error("Thread %u of process %u on CPU %u at IRQL %u%s; simulated kernel.\n",
                 thread.host->tid.load(std::memory_order_relaxed),
                 thread.host->pid.load(std::memory_order_relaxed), thread.cpu_index, thread.irql,
                 thread.in_dpc ? ", in a DPC" : "");
  } else {
    printf_error("On a host thread that is no thread of the machine; simulated kernel.\n");
  }
  print_stack();
  die();
}

void stop(bug code, uint64_t argument1, uint64_t argument2, uint64_t argument3, uint64_t argument4,
          const char* format, ...) {
  char why[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(why, sizeof(why), format, arguments);
  va_end(arguments);
  bug_check(static_cast<uint32_t>(code), name_of_bug_check(static_cast<uint32_t>(code)), argument1, argument2,
            argument3, argument4, why);
}

void misuse(const char* format, ...) {
  char why[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(why, sizeof(why), format, arguments);
  va_end(arguments);
  printf_error("\nThe simulated machine was used wrongly: %s\n", why);
  print_stack();
  die();
}

void stop_irql_too_high(const char* function, KIRQL maximum) {
  const thread_state& thread = self();
  if (thread.irql == irql_unattached) {
    misuse("%s was called on a host thread that holds no activity", function);
  }
  stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE5, thread.irql, maximum, 0,
       "%s was called at IRQL %u; it may be called at %u at most.", function, thread.irql, maximum);
}

}  // namespace sluice::sim

extern "C" {

VOID KeBugCheckEx(ULONG BugCheckCode, ULONG_PTR BugCheckParameter1, ULONG_PTR BugCheckParameter2,
                  ULONG_PTR BugCheckParameter3, ULONG_PTR BugCheckParameter4) {
  sluice::sim::bug_check(BugCheckCode, sluice::sim::name_of_bug_check(BugCheckCode), BugCheckParameter1,
                         BugCheckParameter2, BugCheckParameter3, BugCheckParameter4,
                         "The driver called KeBugCheckEx.");
}

VOID KeBugCheck(ULONG BugCheckCode) {
  KeBugCheckEx(BugCheckCode, 0, 0, 0, 0);
}

VOID SluiceSimulatedPagedCode(PCSTR Function) {
  using namespace sluice::sim;
  const thread_state& thread = self();
  if (thread.irql > APC_LEVEL) {
    stop(bug::DRIVER_VERIFIER_DETECTED_VIOLATION, 0xE5, thread.irql, APC_LEVEL, 0,
         "PAGED_CODE: %s is pageable, and runs at IRQL %u.", Function, thread.irql);
  }
}

VOID RtlAssert(const VOID* FailedAssertion, const VOID* FileName, ULONG LineNumber, const CHAR*) {
  sluice::sim::stop(sluice::sim::bug::MANUALLY_INITIATED_CRASH1, 0, LineNumber, 0, 0,
                    "Assertion failed: %s (%s:%u)", static_cast<const char*>(FailedAssertion),
                    static_cast<const char*>(FileName), LineNumber);
}
}
