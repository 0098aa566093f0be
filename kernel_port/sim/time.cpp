#include "kernel_port/sim/time.h"

#include <time.h>

#include <ntifs.h>

#include "kernel_port/sim/scheduler.h"
#include "kernel_port/sim/system_routine.h"

namespace sluice::sim {
namespace {

constexpr uint64_t ticks_per_second = 10'000'000;
constexpr uint64_t unix_epoch_in_nt = 116'444'736'000'000'000;  // 1970 in 100 ns since 1601
constexpr uint64_t clock_interrupt = 156'250;                   // 15.625 ms

uint64_t in_ticks(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);  // by the vDSO: no system call
  return static_cast<uint64_t>(now.tv_sec) * ticks_per_second + static_cast<uint64_t>(now.tv_nsec) / 100;
}

}  // namespace

uint64_t performance_counter() {
  return in_ticks(CLOCK_MONOTONIC);
}
uint64_t system_time_precise() {
  return in_ticks(CLOCK_REALTIME) + unix_epoch_in_nt;
}

namespace late {
VOID KeQuerySystemTimePrecise(PLARGE_INTEGER CurrentTime) {
  CurrentTime->QuadPart = static_cast<LONGLONG>(system_time_precise());
}
}  // namespace late

}  // namespace sluice::sim

using namespace sluice::sim;

extern "C" {

LARGE_INTEGER KeQueryPerformanceCounter(PLARGE_INTEGER PerformanceFrequency) {
  if (PerformanceFrequency) PerformanceFrequency->QuadPart = static_cast<LONGLONG>(ticks_per_second);
  LARGE_INTEGER now;
  now.QuadPart = static_cast<LONGLONG>(performance_counter());
  the_scheduler.point(point_kind::clock);
  return now;
}

VOID KeQuerySystemTime(PLARGE_INTEGER CurrentTime) {
  const uint64_t now = system_time_precise();
  CurrentTime->QuadPart = static_cast<LONGLONG>(now - now % clock_interrupt);
}

ULONGLONG KeQueryInterruptTime(VOID) {
  const uint64_t now = performance_counter();
  return now - now % clock_interrupt;
}

ULONG KeQueryTimeIncrement(VOID) {
  return clock_interrupt;
}

VOID KeQueryTickCount(PLARGE_INTEGER CurrentCount) {
  CurrentCount->QuadPart = static_cast<LONGLONG>(performance_counter() / clock_interrupt);
}

VOID KeStallExecutionProcessor(ULONG MicroSeconds) {
  const uint64_t until = performance_counter() + uint64_t{MicroSeconds} * 10;
  while (performance_counter() < until) YieldProcessor();
}
}
