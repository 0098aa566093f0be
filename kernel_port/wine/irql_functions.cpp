// Functions that raise and lower, or whose rule depends on what they are asked: spin locks, fast mutexes, critical regions, waits.
#include <atomic>

#include "kernel_port/wine/imports.h"
#include "kernel_port/wine/rules.h"

namespace sluice::wine {
namespace {

std::atomic_ref<KSPIN_LOCK> word_of(PKSPIN_LOCK spin_lock) { return std::atomic_ref<KSPIN_LOCK>(*spin_lock); }

// The lock holds who has it, so that a lock that is released by somebody else is seen.
KSPIN_LOCK mine() { return GetCurrentThreadId(); }

void NTAPI acquire_at_dpc_level(PKSPIN_LOCK spin_lock) {
  if (this_thread().irql < DISPATCH_LEVEL) report_violation("KeAcquireSpinLockAtDpcLevel below DISPATCH_LEVEL");
  KSPIN_LOCK free = 0;
  for (uint32_t round = 0; !word_of(spin_lock).compare_exchange_weak(free, mine(), std::memory_order_acquire); ++round) {
    if (free == mine()) report_violation("a spin lock acquired twice by one thread");
    free = 0;
    if (round < 256) {
      YieldProcessor();
    } else {
      SwitchToThread();  // the holder has a virtual CPU, but may wait for a real one
    }
  }
}

void NTAPI release_from_dpc_level(PKSPIN_LOCK spin_lock) {
  if (word_of(spin_lock).exchange(0, std::memory_order_release) != mine()) {
    report_violation("a spin lock released that the thread does not hold");
  }
  if (this_thread().irql < DISPATCH_LEVEL) report_violation("a spin lock released below DISPATCH_LEVEL");
}

KIRQL NTAPI acquire_raising(PKSPIN_LOCK spin_lock) {
  require_irql(DISPATCH_LEVEL, "KeAcquireSpinLock");
  const auto before = static_cast<KIRQL>(this_thread().irql);
  set_irql(DISPATCH_LEVEL);
  acquire_at_dpc_level(spin_lock);
  return before;
}

void NTAPI release_lowering(PKSPIN_LOCK spin_lock, KIRQL before) {
  release_from_dpc_level(spin_lock);
  set_irql(before);
}

// A fast mutex is held at APC_LEVEL: what is PASSIVE_LEVEL only may not be called under it.
void NTAPI acquire_fast_mutex(PFAST_MUTEX mutex) {
  require_irql(APC_LEVEL, "ExAcquireFastMutex");
  const uint32_t before = this_thread().irql;
  ExAcquireFastMutex(mutex);
  mutex->OldIrql = before;
  set_irql(APC_LEVEL);
}

void NTAPI release_fast_mutex(PFAST_MUTEX mutex) {
  if (this_thread().irql != APC_LEVEL) report_violation("ExReleaseFastMutex not at APC_LEVEL");
  const uint32_t before = mutex->OldIrql;
  ExReleaseFastMutex(mutex);
  set_irql(before);
}

void NTAPI enter_critical_region() {
  require_irql(APC_LEVEL, "KeEnterCriticalRegion");
  ++this_thread().critical_regions;
}

void NTAPI leave_critical_region() {
  require_irql(APC_LEVEL, "KeLeaveCriticalRegion");
  if (this_thread().critical_regions == 0) {
    report_violation("a critical region left that was not entered");
    return;
  }
  --this_thread().critical_regions;
}

// At DISPATCH_LEVEL a thread may ask, but not wait.
uint32_t highest_for(const LARGE_INTEGER* timeout) {
  return timeout != nullptr && timeout->QuadPart == 0 ? DISPATCH_LEVEL : APC_LEVEL;
}

NTSTATUS NTAPI wait_for_one(PVOID object, KWAIT_REASON reason, KPROCESSOR_MODE mode, BOOLEAN alertable,
                            PLARGE_INTEGER timeout) {
  require_irql(highest_for(timeout), "KeWaitForSingleObject");
  return KeWaitForSingleObject(object, reason, mode, alertable, timeout);
}

NTSTATUS NTAPI wait_for_several(ULONG count, PVOID objects[], WAIT_TYPE type, KWAIT_REASON reason, KPROCESSOR_MODE mode,
                                BOOLEAN alertable, PLARGE_INTEGER timeout, PKWAIT_BLOCK blocks) {
  require_irql(highest_for(timeout), "KeWaitForMultipleObjects");
  if (count > THREAD_WAIT_OBJECTS && blocks == nullptr) report_violation("more than 3 objects waited for without blocks");
  return KeWaitForMultipleObjects(count, objects, type, reason, mode, alertable, timeout, blocks);
}

// Real processors are fewer than those that think they spin.
void NTAPI stall(ULONG microseconds) {
  LARGE_INTEGER frequency;
  const LONGLONG begin = KeQueryPerformanceCounter(&frequency).QuadPart;
  const LONGLONG ticks = frequency.QuadPart * microseconds / 1000000;
  while (KeQueryPerformanceCounter(nullptr).QuadPart - begin < ticks) SwitchToThread();
}

constexpr uint32_t all_groups = 0xffff;

ULONG NTAPI current_processor_ex(PPROCESSOR_NUMBER number) {
  const uint32_t cpu = current_cpu();
  if (number != nullptr) *number = {0, static_cast<UCHAR>(cpu), 0};
  return cpu;
}

ULONG NTAPI current_processor() { return current_cpu(); }

ULONG NTAPI processor_count(USHORT group) { return group == 0 || group == all_groups ? cpu_count : 0; }

KAFFINITY NTAPI active_processors() { return (KAFFINITY{1} << cpu_count) - 1; }

NTSTATUS NTAPI processor_number_from_index(ULONG index, PPROCESSOR_NUMBER number) {
  if (index >= cpu_count) return STATUS_INVALID_PARAMETER;
  *number = {0, static_cast<UCHAR>(index), 0};
  return STATUS_SUCCESS;
}

void NTAPI system_time_precise(PLARGE_INTEGER time) { GetSystemTimePreciseAsFileTime(time); }

const CCHAR number_of_processors = cpu_count;

const kernel_function table[] = {
    {"KeAcquireSpinLockRaiseToDpc", address_of(&acquire_raising), any_irql},
    {"KeReleaseSpinLock", address_of(&release_lowering), any_irql},
    {"KeAcquireSpinLockAtDpcLevel", address_of(&acquire_at_dpc_level), any_irql},
    {"KeReleaseSpinLockFromDpcLevel", address_of(&release_from_dpc_level), any_irql},
    {"ExAcquireFastMutex", address_of(&acquire_fast_mutex), any_irql},
    {"ExReleaseFastMutex", address_of(&release_fast_mutex), any_irql},
    {"KeEnterCriticalRegion", address_of(&enter_critical_region), any_irql},
    {"KeLeaveCriticalRegion", address_of(&leave_critical_region), any_irql},
    {"KeWaitForSingleObject", address_of(&wait_for_one), any_irql},
    {"KeWaitForMultipleObjects", address_of(&wait_for_several), any_irql},
    {"KeStallExecutionProcessor", address_of(&stall), any_irql},
    {"KeGetCurrentProcessorNumberEx", address_of(&current_processor_ex), any_irql},
    {"KeGetCurrentProcessorNumber", address_of(&current_processor), any_irql},
    {"KeQueryActiveProcessorCountEx", address_of(&processor_count), any_irql},
    {"KeQueryMaximumProcessorCountEx", address_of(&processor_count), any_irql},
    {"KeQueryActiveProcessors", address_of(&active_processors), any_irql},
    {"KeGetProcessorNumberFromIndex", address_of(&processor_number_from_index), any_irql},
    {"KeQuerySystemTimePrecise", address_of(&system_time_precise), any_irql},
    {"KeNumberProcessors", const_cast<CCHAR*>(&number_of_processors), any_irql},
};

}  // namespace

std::span<const kernel_function> irql_functions() { return table; }

}  // namespace sluice::wine
