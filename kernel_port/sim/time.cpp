#include "kernel_port/sim/time.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <ntifs.h>

#include <atomic>
#include <cerrno>
#include <mutex>
#include <new>
#include <system_error>

#include "kernel_port/sim/counter_page.h"
#include "kernel_port/sim/scheduler.h"
#include "kernel_port/sim/system_routine.h"

namespace sluice::sim {
namespace {

constexpr uint64_t unix_epoch_in_nt = 116'444'736'000'000'000;  // 1970 in 100 ns since 1601
constexpr uint64_t clock_interrupt = 156'250;                   // 15.625 ms

// The page that is shared, once it was asked for. The process keeps it; who reads the counter never changes from one to the other
// in the middle.
counter_page private_page;
std::atomic<counter_page*> the_page{&private_page};
int shared_page = -1;
std::mutex counter_changes;
std::atomic<uint64_t> utc_offset{0};  // relaxed: a value by itself

// With counter_changes held.
counter_page& page() {
  return *the_page.load(std::memory_order_relaxed);  // changed under the same lock
}

// The host's, or the machine's own where threads take turns; there UTC begins with the machine.
uint64_t ticks_of(clockid_t clock) {
  if (!the_scheduler.takes_turns()) [[likely]] return clock_ticks(clock);
  constexpr uint64_t new_year_2026 = 1'767'225'600;  // Unix time
  return the_scheduler.the_turns().nanoseconds() / 100 + (clock == CLOCK_REALTIME ? new_year_2026 * counter_frequency : 0);
}

void set_counter(uint64_t offset, uint64_t stands_at) {
  counter_page& counter = page();
  counter.version.fetch_add(1, std::memory_order_relaxed);
  // release: whoever sees one of these sees the odd version too
  counter.offset.store(offset, std::memory_order_release);
  counter.stands_at.store(stands_at, std::memory_order_release);
  counter.version.fetch_add(1, std::memory_order_release);
}

}  // namespace

uint64_t performance_counter() {
  const counter_page& page = *the_page.load(std::memory_order_acquire);  // pairs with share_counter: the page is filled
  if (!the_scheduler.takes_turns()) [[likely]] return read_counter(page);
  return read_counter(page, [] { return ticks_of(CLOCK_MONOTONIC); }) + the_scheduler.the_turns().skew(self().cpu_index);
}
uint64_t interrupt_time() {
  return ticks_of(CLOCK_MONOTONIC);
}
uint64_t system_time_precise() {
  return ticks_of(CLOCK_REALTIME) + unix_epoch_in_nt + utc_offset.load(std::memory_order_relaxed);
}

void move_counter(int64_t ticks) {
  const std::lock_guard lock(counter_changes);
  const uint64_t by = static_cast<uint64_t>(ticks);
  const uint64_t stands_at = page().stands_at.load(std::memory_order_relaxed);
  set_counter(page().offset.load(std::memory_order_relaxed) + by, stands_at == 0 ? 0 : stands_at + by);
}

void set_system_time(uint64_t utc) {
  utc_offset.store(utc - (ticks_of(CLOCK_REALTIME) + unix_epoch_in_nt), std::memory_order_relaxed);
}

void let_counter_run(bool runs) {
  const std::lock_guard lock(counter_changes);
  const uint64_t stands_at = page().stands_at.load(std::memory_order_relaxed);
  if (runs == (stands_at == 0)) return;
  if (runs) {
    set_counter(stands_at - ticks_of(CLOCK_MONOTONIC), 0);
  } else {
    const uint64_t offset = page().offset.load(std::memory_order_relaxed);
    set_counter(offset, ticks_of(CLOCK_MONOTONIC) + offset);
  }
}

// Both pages tell the same until the next change, and changes go to the shared one only: a thread that still reads the private one
// then is as if it had read a moment earlier.
int share_counter() {
  const std::lock_guard lock(counter_changes);
  if (shared_page >= 0) return shared_page;
  const auto failed = [](const char* what) { throw std::system_error(errno, std::generic_category(), what); };
  const int file = memfd_create("sluice-counter", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (file < 0) failed("the page of the performance counter: memfd_create");
  void* memory = MAP_FAILED;
  if (ftruncate(file, counter_page_bytes) == 0) {
    memory = mmap(nullptr, counter_page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  }
  // From now on nobody can write it but by this mapping.
  if (memory == MAP_FAILED || fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) != 0) {
    const int error = errno;
    if (memory != MAP_FAILED) munmap(memory, counter_page_bytes);
    close(file);
    errno = error;
    failed("the page of the performance counter");
  }
  auto* const shared = new (memory) counter_page();
  shared->offset.store(page().offset.load(std::memory_order_relaxed), std::memory_order_relaxed);
  shared->stands_at.store(page().stands_at.load(std::memory_order_relaxed), std::memory_order_relaxed);
  the_page.store(shared, std::memory_order_release);
  shared_page = file;
  return file;
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
  if (PerformanceFrequency) PerformanceFrequency->QuadPart = static_cast<LONGLONG>(counter_frequency);
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
