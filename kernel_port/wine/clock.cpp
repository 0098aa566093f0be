#include "kernel_port/wine/clock.h"

#include "kernel_port/wine/imports.h"
#include "kernel_port/wine/vdso.h"

namespace sluice::wine {
namespace {

constexpr int monotonic_raw = 4;  // CLOCK_MONOTONIC_RAW
constexpr int64_t ticks_per_second = 10000000;
constexpr int64_t nanoseconds_per_tick = 100;

struct linux_time {
  int64_t seconds;
  int64_t nanoseconds;
};
using clock_gettime_function = int(__attribute__((sysv_abi)) *)(int clock, linux_time* now);
clock_gettime_function clock_gettime = nullptr;

int64_t read_counter() {
  linux_time now{};
  clock_gettime(monotonic_raw, &now);
  return now.seconds * ticks_per_second + now.nanoseconds / nanoseconds_per_tick;
}

// Ours between two of Wine's: the same clock.
bool agrees_with_wine() {
  LARGE_INTEGER frequency;
  const LONGLONG before = KeQueryPerformanceCounter(&frequency).QuadPart;
  const int64_t ours = read_counter();
  const LONGLONG after = KeQueryPerformanceCounter(nullptr).QuadPart;
  return frequency.QuadPart == ticks_per_second && before <= ours && ours <= after;
}

LARGE_INTEGER NTAPI query_performance_counter(PLARGE_INTEGER frequency) {
  if (clock_gettime == nullptr) return KeQueryPerformanceCounter(frequency);
  LARGE_INTEGER now;
  now.QuadPart = read_counter();
  if (frequency != nullptr) frequency->QuadPart = ticks_per_second;
  return now;
}

const kernel_function table[] = {
    {"KeQueryPerformanceCounter", address_of(&query_performance_counter), any_irql},
};

}  // namespace

void start_clock() {
  clock_gettime = reinterpret_cast<clock_gettime_function>(find_vdso_function("__vdso_clock_gettime"));
  if (clock_gettime != nullptr && !agrees_with_wine()) clock_gettime = nullptr;
  if (clock_gettime == nullptr) DbgPrint("substitutes: the performance counter is read through Wine\n");
}

std::span<const kernel_function> clock_functions() { return table; }

}  // namespace sluice::wine
