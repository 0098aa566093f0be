#include "kernel_port/sim/time.h"

#include <time.h>

#include <ntifs.h>

#include <atomic>
#include <mutex>

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

// How the counter is moved: read and changed as one, or a thread that is held up between its two reads would see a step that
// was none. `version` is odd while it changes.
struct counter_setting {
  std::atomic<uint32_t> version{0};
  std::atomic<uint64_t> offset{0};
  std::atomic<uint64_t> stands_at{0};  // 0: it runs
};
counter_setting the_counter;
std::mutex counter_changes;
std::atomic<uint64_t> utc_offset{0};  // relaxed: a value by itself

void set_counter(uint64_t offset, uint64_t stands_at) {
  the_counter.version.fetch_add(1, std::memory_order_relaxed);
  // release: whoever sees one of these sees the odd version too
  the_counter.offset.store(offset, std::memory_order_release);
  the_counter.stands_at.store(stands_at, std::memory_order_release);
  the_counter.version.fetch_add(1, std::memory_order_release);
}

}  // namespace

uint64_t performance_counter() {
  for (;;) {
    const uint32_t version = the_counter.version.load(std::memory_order_acquire);
    const uint64_t offset = the_counter.offset.load(std::memory_order_acquire);
    const uint64_t stands_at = the_counter.stands_at.load(std::memory_order_acquire);
    const uint64_t now = stands_at != 0 ? stands_at : in_ticks(CLOCK_MONOTONIC) + offset;
    if (version % 2 == 0 && the_counter.version.load(std::memory_order_relaxed) == version) [[likely]] return now;
  }
}
uint64_t interrupt_time() {
  return in_ticks(CLOCK_MONOTONIC);
}
uint64_t system_time_precise() {
  return in_ticks(CLOCK_REALTIME) + unix_epoch_in_nt + utc_offset.load(std::memory_order_relaxed);
}

void move_counter(int64_t ticks) {
  const std::lock_guard lock(counter_changes);
  const uint64_t by = static_cast<uint64_t>(ticks);
  const uint64_t stands_at = the_counter.stands_at.load(std::memory_order_relaxed);
  set_counter(the_counter.offset.load(std::memory_order_relaxed) + by, stands_at == 0 ? 0 : stands_at + by);
}

void set_system_time(uint64_t utc) {
  utc_offset.store(utc - (in_ticks(CLOCK_REALTIME) + unix_epoch_in_nt), std::memory_order_relaxed);
}

void let_counter_run(bool runs) {
  const std::lock_guard lock(counter_changes);
  const uint64_t stands_at = the_counter.stands_at.load(std::memory_order_relaxed);
  if (runs == (stands_at == 0)) return;
  if (runs) {
    set_counter(stands_at - in_ticks(CLOCK_MONOTONIC), 0);
  } else {
    const uint64_t offset = the_counter.offset.load(std::memory_order_relaxed);
    set_counter(offset, in_ticks(CLOCK_MONOTONIC) + offset);
  }
}

void reset_clocks(int64_t counter_ahead) {
  const std::lock_guard lock(counter_changes);
  set_counter(static_cast<uint64_t>(counter_ahead), 0);
  utc_offset.store(0, std::memory_order_relaxed);
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
  const uint64_t now = interrupt_time();
  return now - now % clock_interrupt;
}

ULONG KeQueryTimeIncrement(VOID) {
  return clock_interrupt;
}

VOID KeQueryTickCount(PLARGE_INTEGER CurrentCount) {
  CurrentCount->QuadPart = static_cast<LONGLONG>(interrupt_time() / clock_interrupt);
}

VOID KeStallExecutionProcessor(ULONG MicroSeconds) {
  const uint64_t until = interrupt_time() + uint64_t{MicroSeconds} * 10;
  while (interrupt_time() < until) YieldProcessor();
}
}
