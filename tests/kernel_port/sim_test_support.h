// For the tests of the simulated kernel: short ways to a machine, a driver and a bug check.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "kernel_port/nt/nt.h"
#include "kernel_port/sim/machine.h"
#include "tests/eventually.h"

namespace sluice::sim {

// The statement stops the run with this bug check.
#define EXPECT_BUG_CHECK(statement, name) EXPECT_DEATH(statement, "\\*\\*\\* " name "\n")
// And the report says this.
#define EXPECT_BUG_CHECK_SAYING(statement, name, text) EXPECT_DEATH(statement, "\\*\\*\\* " name "\n.*" text)

// A driver whose routines are the test's.
struct scripted_driver {
  static inline std::function<NTSTATUS(PDRIVER_OBJECT, PUNICODE_STRING)> on_entry;
  static inline std::function<void(PDRIVER_OBJECT)> on_unload;

  static VOID unload(PDRIVER_OBJECT driver) {
    if (on_unload) on_unload(driver);
  }
  static NTSTATUS entry(PDRIVER_OBJECT driver, PUNICODE_STRING path) {
    driver->DriverUnload = unload;
    return on_entry ? on_entry(driver, path) : STATUS_SUCCESS;
  }
  scripted_driver() { on_entry = nullptr, on_unload = nullptr; }
};

template <class Function>
Function* system_routine(const char16_t* name) {
  UNICODE_STRING string;
  RtlInitUnicodeString(&string, reinterpret_cast<PCWSTR>(name));
  return reinterpret_cast<Function*>(MmGetSystemRoutineAddress(&string));
}
#define SYSTEM_ROUTINE(name) system_routine<decltype(::name)>(u"" #name)

inline HANDLE id(uint32_t value) { return reinterpret_cast<HANDLE>(static_cast<uintptr_t>(value)); }

using test::eventually;

inline LARGE_INTEGER milliseconds(int64_t count) {
  LARGE_INTEGER time;
  time.QuadPart = -count * 10'000;
  return time;
}

}  // namespace sluice::sim
