#include "kernel_port/sim/processor.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "kernel_port/sim/implementation.h"

namespace sluice::sim {
namespace {

// Every running thread of this process has passed a full barrier when this returns true.
bool barrier_on_all_threads() {
  static const bool registered =
      syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
  return registered && syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

bool try_own(processor& cpu) {
  return cpu.owned.load(std::memory_order_relaxed) == 0 &&
         cpu.owned.exchange(1, std::memory_order_acquire) == 0;
}

}  // namespace

void set_raise_attention(uint32_t bit, bool on) {
  // relaxed: see raise.cpp
  if (on) {
    raise_attention.fetch_or(bit, std::memory_order_relaxed);
  } else {
    raise_attention.fetch_and(~bit, std::memory_order_relaxed);
  }
}

void own_contended(processor& cpu, thread_state& thread) {
  if (!thread.host) misuse("a host thread that holds no activity raised its IRQL");
  for (int i = 0; i < 100; ++i) {
    if (try_own(cpu)) return;
    __builtin_ia32_pause();
  }
  internal_section section;
  {
    std::lock_guard lock(cpu.mutex);
    cpu.waiting.push_back(thread.host);
    cpu.attention.fetch_add(attention_waiter, std::memory_order_seq_cst);
  }
  // After this, an owner that gives the CPU back sees `attention` (see the head of processor.h). Without
  // membarrier its load could come too early: then look again from time to time.
  const bool ordered = the_scheduler.takes_turns() || barrier_on_all_threads();
  while (!try_own(cpu)) {
    the_scheduler.wait(thread.host->park,
                       ordered ? std::optional<deadline>()
                               : std::chrono::steady_clock::now() + std::chrono::milliseconds(1));
  }
  std::lock_guard lock(cpu.mutex);
  cpu.waiting.erase(std::find(cpu.waiting.begin(), cpu.waiting.end(), thread.host));
  cpu.attention.fetch_sub(attention_waiter,
                          std::memory_order_relaxed);  // under the mutex; a late sight only wakes
}

void wake_waiter(processor& cpu) {
  internal_section section;
  std::lock_guard lock(cpu.mutex);
  // It stays in the queue until it owns the CPU: should another thread be faster, that one wakes it again.
  if (!cpu.waiting.empty()) the_scheduler.wake(cpu.waiting.front()->park);
}

void move_to_processor(thread_state& thread, uint32_t index) {
  machine::implementation& machine = the_machine();
  thread.cpu = &machine.processor_at(index);
  thread.cpu_index = index;
  thread.host->cpu_index.store(index, std::memory_order_relaxed);
}

void move_to_any_processor(thread_state& thread, uint32_t random) {
  move_to_processor(thread, random % the_machine().active_processors());
}

}  // namespace sluice::sim

using namespace sluice::sim;

namespace {

thread_state& on_processor(const char* function) {
  thread_state& thread = self();
  if (!thread.cpu) [[unlikely]]
    misuse("%s was called on a host thread that holds no activity", function);
  return thread;
}

uint32_t group_count(uint32_t processors) {
  const uint32_t per_group = the_machine().options.processors_per_group;
  return (processors + per_group - 1) / per_group;
}

// Of the first `processors`, those in the group.
uint32_t count_in_group(USHORT group, uint32_t processors) {
  if (group == ALL_PROCESSOR_GROUPS) return processors;
  const uint32_t per_group = the_machine().options.processors_per_group;
  const uint32_t first = group * per_group;
  return first >= processors ? 0 : std::min(per_group, processors - first);
}

uint32_t maximum_processors() {
  return static_cast<uint32_t>(the_machine().processors.size());
}

}  // namespace

extern "C" {

ULONG KeGetCurrentProcessorNumberEx(PPROCESSOR_NUMBER ProcNumber) {
  thread_state& thread = on_processor("KeGetCurrentProcessorNumberEx");
  if (ProcNumber) *ProcNumber = thread.cpu->number;
  return thread.cpu_index;
}

ULONG KeGetCurrentProcessorNumber(VOID) {
  return on_processor("KeGetCurrentProcessorNumber").cpu->number.Number;
}

ULONG KeQueryActiveProcessorCountEx(USHORT GroupNumber) {
  return count_in_group(GroupNumber, the_machine().active_processors());
}

ULONG KeQueryMaximumProcessorCountEx(USHORT GroupNumber) {
  return count_in_group(GroupNumber, maximum_processors());
}
ULONG KeQueryMaximumProcessorCount(VOID) {
  return KeQueryMaximumProcessorCountEx(0);
}

ULONG KeQueryActiveProcessorCount(PKAFFINITY ActiveProcessors) {
  const ULONG count = KeQueryActiveProcessorCountEx(0);
  if (ActiveProcessors) *ActiveProcessors = count >= 64 ? ~KAFFINITY{0} : (KAFFINITY{1} << count) - 1;
  return count;
}

KAFFINITY KeQueryActiveProcessors(VOID) {
  KAFFINITY active = 0;
  KeQueryActiveProcessorCount(&active);
  return active;
}

USHORT KeQueryActiveGroupCount(VOID) {
  return static_cast<USHORT>(group_count(the_machine().active_processors()));
}
USHORT KeQueryMaximumGroupCount(VOID) {
  return static_cast<USHORT>(group_count(maximum_processors()));
}

NTSTATUS KeGetProcessorNumberFromIndex(ULONG ProcIndex, PPROCESSOR_NUMBER ProcNumber) {
  machine::implementation& machine = the_machine();
  if (ProcIndex >= machine.active_processors()) return STATUS_INVALID_PARAMETER;
  *ProcNumber = machine.processor_at(ProcIndex).number;
  return STATUS_SUCCESS;
}

ULONG KeGetProcessorIndexFromNumber(PPROCESSOR_NUMBER ProcNumber) {
  constexpr ULONG invalid_processor_index = 0xffffffff;
  const machine_options& options = the_machine().options;
  if (ProcNumber->Reserved != 0 || ProcNumber->Number >= options.processors_per_group)
    return invalid_processor_index;
  const ULONG index = ProcNumber->Group * options.processors_per_group + ProcNumber->Number;
  return index < the_machine().active_processors() ? index : invalid_processor_index;
}

VOID KeSetSystemGroupAffinityThread(PGROUP_AFFINITY Affinity, PGROUP_AFFINITY PreviousAffinity) {
  thread_state& thread = require_irql_at_most(APC_LEVEL, "KeSetSystemGroupAffinityThread");
  const machine_options& options = the_machine().options;
  if (PreviousAffinity) {
    *PreviousAffinity = {};
    if (thread.host->pinned) {
      PreviousAffinity->Group = thread.cpu->number.Group;
      PreviousAffinity->Mask = KAFFINITY{1} << thread.cpu->number.Number;
    }
  }
  if (Affinity->Mask == 0) return;
  const auto index =
      Affinity->Group * options.processors_per_group + static_cast<uint32_t>(__builtin_ctzll(Affinity->Mask));
  if (index >= the_machine().active_processors()) return;  // Windows ignores what does not exist, too
  // Approximated: the thread stays on the first processor of the mask.
  thread.host->pinned = true;
  move_to_processor(thread, index);
}

VOID KeRevertToUserGroupAffinityThread(PGROUP_AFFINITY PreviousAffinity) {
  thread_state& thread = require_irql_at_most(APC_LEVEL, "KeRevertToUserGroupAffinityThread");
  if (!PreviousAffinity || PreviousAffinity->Mask == 0) {
    thread.host->pinned = false;
  } else {
    KeSetSystemGroupAffinityThread(PreviousAffinity, nullptr);
  }
}

VOID SluiceSimulatedYieldProcessor(VOID) {
  __builtin_ia32_pause();
  thread_state& thread = self();
  if (thread.requests.load(std::memory_order_relaxed) != 0) deliver_requests(thread);
  // Every so often: the awaited thread may need this very host processor.
  thread_local uint32_t turns = 0;
  if (the_scheduler.takes_turns() || ++turns % 64 == 0) the_scheduler.point(point_kind::spin);
}
}
