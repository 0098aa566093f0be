#include "kernel_port/sim/dpc.h"

#include <utility>

#include "kernel_port/sim/attachment.h"
#include "kernel_port/sim/implementation.h"
#include "kernel_port/sim/irql.h"

namespace sluice::sim {
namespace {

constexpr UCHAR dpc_object = 19;          // NT's DpcObject
constexpr USHORT first_target = 2 * 256;  // Number: 0 = no target, else target + first_target

void set_pending(processor& cpu) {
  cpu.attention.fetch_or(attention_dpc, std::memory_order_seq_cst);
}

// The thread that takes a CPU for its DPCs when nobody else would: an idle CPU, or one whose threads stay
// below DISPATCH_LEVEL, where on hardware the interrupt would come.
void serve(machine::implementation& machine, processor& cpu) {
  attachment attached(machine, cpu.index, 0, 0);  // the idle process
  thread_state& thread = self();
  thread.host->pinned = true;
  for (;;) {
    {
      internal_lock lock(cpu.mutex);
      if (cpu.worker_stops) return;
    }
    if (cpu.attention.load(std::memory_order_acquire) & attention_dpc) {
      raise_to(thread, DISPATCH_LEVEL);
      lower_to(thread, PASSIVE_LEVEL);  // runs them
    } else {
      the_scheduler.wait(cpu.worker_park);
    }
  }
}

void wake_worker(processor& cpu) {
  {
    internal_lock lock(cpu.mutex);
    if (!cpu.worker_started) {
      cpu.worker_started = true;
      cpu.worker = scheduled_thread([&machine = the_machine(), &cpu] { serve(machine, cpu); });
    }
  }
  the_scheduler.wake(cpu.worker_park);
}

PKDPC take_next(processor& cpu) {
  if (IsListEmpty(&cpu.dpcs)) {
    cpu.attention.fetch_and(~attention_dpc, std::memory_order_relaxed);  // under the mutex, as is every set
    return nullptr;
  }
  PKDPC dpc = CONTAINING_RECORD(RemoveHeadList(&cpu.dpcs), KDPC, DpcListEntry);
  cpu.dpc_depth -= 1;
  return dpc;
}

}  // namespace

void run_dpcs(processor& cpu, thread_state& thread) {
  const KIRQL old = thread.irql;
  driver_record* const driver = thread.driver;
  const uint32_t critical = thread.critical;
  const uint32_t guarded = thread.guarded;
  thread.irql = DISPATCH_LEVEL;
  thread.in_dpc = 1;
  for (;;) {
    PKDEFERRED_ROUTINE routine;
    PVOID context, argument1, argument2;
    PKDPC dpc;
    {
      internal_lock lock(cpu.mutex);
      dpc = take_next(cpu);
      cpu.running_dpc = dpc;
      if (!dpc) break;
      routine = dpc->DeferredRoutine;
      context = dpc->DeferredContext;
      argument1 = dpc->SystemArgument1;
      argument2 = dpc->SystemArgument2;
      thread.driver = static_cast<driver_record*>(dpc->SimulatedOwner);
      // From here it may be queued again, or its memory reused by its own routine.
      __atomic_store_n(&dpc->DpcData, nullptr, __ATOMIC_RELEASE);
    }
    the_scheduler.point(point_kind::dpc);
    into_driver([&] { routine(dpc, context, argument1, argument2); });
    if (thread.irql != DISPATCH_LEVEL) {
      stop(bug::IRQL_UNEXPECTED_VALUE, static_cast<uint64_t>(thread.irql) << 16 | DISPATCH_LEVEL << 8,
           reinterpret_cast<uint64_t>(routine), 0, 0, "A DPC routine returned at IRQL %u.", thread.irql);
    }
    if (thread.critical != critical || thread.guarded != guarded) {
      stop(bug::APC_INDEX_MISMATCH, reinterpret_cast<uint64_t>(routine), 0, 0, 1,
           "A DPC routine returned with a region entered or left.");
    }
  }
  thread.driver = driver;
  thread.in_dpc = 0;
  thread.irql = old;
}

bool insert_dpc(KDPC& dpc, PVOID argument1, PVOID argument2, processor& fallback) {
  machine::implementation& machine = the_machine();
  const USHORT number = __atomic_load_n(&dpc.Number, __ATOMIC_RELAXED);
  processor& cpu = number >= first_target ? machine.processor_at(number - first_target) : fallback;
  {
    internal_lock lock(cpu.mutex);
    PVOID expected = nullptr;
    // The winner of this exchange owns the entry until it is dequeued.
    if (!__atomic_compare_exchange_n(&dpc.DpcData, &expected, static_cast<PVOID>(&cpu), false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
      return false;
    }
    dpc.SystemArgument1 = argument1;
    dpc.SystemArgument2 = argument2;
    if (dpc.Importance == HighImportance) {
      InsertHeadList(&cpu.dpcs, &dpc.DpcListEntry);
    } else {
      InsertTailList(&cpu.dpcs, &dpc.DpcListEntry);
    }
    cpu.dpc_depth += 1;
    set_pending(cpu);
  }
  thread_state& thread = self();
  if (thread.cpu == &cpu && thread.irql <= HIGH_LEVEL && thread.irql >= DISPATCH_LEVEL) {
    return true;  // this thread owns the CPU: the DPC runs when it lowers its IRQL
  }
  if (thread.cpu == &cpu && thread.irql < DISPATCH_LEVEL && thread.inside == 0) {
    // The interrupt comes at once: the DPC runs before this function returns.
    const KIRQL old = thread.irql;
    const bool pinned = std::exchange(thread.host->pinned, true);  // or the seed moves it to another CPU first
    raise_to(thread, DISPATCH_LEVEL);
    thread.host->pinned = pinned;
    lower_to(thread, old);
    return true;
  }
  wake_worker(cpu);
  return true;
}

void stop_dpc_workers() {
  for (processor& cpu : the_machine().processors) {
    {
      internal_lock lock(cpu.mutex);
      if (!cpu.worker_started) continue;
      cpu.worker_stops = true;
    }
    the_scheduler.wake(cpu.worker_park);
    cpu.worker.join();
  }
}

KDPC* find_dpc_of(const driver_record* driver) {
  for (processor& cpu : the_machine().processors) {
    internal_lock lock(cpu.mutex);
    for (PLIST_ENTRY entry = cpu.dpcs.Flink; entry != &cpu.dpcs; entry = entry->Flink) {
      KDPC* dpc = CONTAINING_RECORD(entry, KDPC, DpcListEntry);
      if (dpc->SimulatedOwner == driver) return dpc;
    }
  }
  return nullptr;
}

KDPC* find_dpc_in(const void* start, size_t length) {
  const auto* first = static_cast<const char*>(start);
  for (processor& cpu : the_machine().processors) {
    // relaxed: a DPC of the caller's own memory was queued before it frees that memory.
    if (!(cpu.attention.load(std::memory_order_relaxed) & attention_dpc)) continue;
    internal_lock lock(cpu.mutex);
    for (PLIST_ENTRY entry = cpu.dpcs.Flink; entry != &cpu.dpcs; entry = entry->Flink) {
      auto* dpc = CONTAINING_RECORD(entry, KDPC, DpcListEntry);
      const auto* address = reinterpret_cast<const char*>(dpc);
      if (address >= first && address < first + length) return dpc;
    }
  }
  return nullptr;
}

}  // namespace sluice::sim

using namespace sluice::sim;

namespace {

struct flush {
  std::atomic<uint32_t> left{0};
  parker* waiter = nullptr;
};

VOID flushed(PKDPC, PVOID context, PVOID, PVOID) {
  auto* what = static_cast<flush*>(context);
  parker* waiter = what->waiter;
  if (what->left.fetch_sub(1, std::memory_order_acq_rel) == 1) the_scheduler.wake(*waiter);
}

void require_dpc(const KDPC* dpc, const char* function) {
  if (!dpc || dpc->Type != dpc_object) {
    stop(bug::TIMER_OR_DPC_INVALID, 1, as_argument(dpc), 0, 0, "%s for a DPC that was never initialized.",
         function);
  }
}

}  // namespace

extern "C" {

VOID KeInitializeDpc(PKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext) {
  Dpc->Type = dpc_object;
  Dpc->Importance = MediumImportance;
  Dpc->Number = 0;
  Dpc->DeferredRoutine = DeferredRoutine;
  Dpc->DeferredContext = DeferredContext;
  Dpc->DpcData = nullptr;
  Dpc->SimulatedOwner = self().driver;
}

BOOLEAN KeInsertQueueDpc(PKDPC Dpc, PVOID SystemArgument1, PVOID SystemArgument2) {
  thread_state& thread = require_irql_at_most(HIGH_LEVEL, "KeInsertQueueDpc");
  require_dpc(Dpc, "KeInsertQueueDpc");
  return insert_dpc(*Dpc, SystemArgument1, SystemArgument2, *thread.cpu);
}

BOOLEAN KeRemoveQueueDpc(PKDPC Dpc) {
  require_irql_at_most(HIGH_LEVEL, "KeRemoveQueueDpc");
  require_dpc(Dpc, "KeRemoveQueueDpc");
  for (;;) {
    auto* cpu = static_cast<processor*>(__atomic_load_n(&Dpc->DpcData, __ATOMIC_ACQUIRE));
    if (!cpu) return FALSE;
    internal_lock lock(cpu->mutex);
    if (__atomic_load_n(&Dpc->DpcData, __ATOMIC_RELAXED) != cpu) continue;  // ran, and was queued elsewhere
    RemoveEntryList(&Dpc->DpcListEntry);
    cpu->dpc_depth -= 1;
    __atomic_store_n(&Dpc->DpcData, nullptr, __ATOMIC_RELEASE);
    return TRUE;
  }
}

VOID KeFlushQueuedDpcs(VOID) {
  thread_state& thread = require_irql_at_most(PASSIVE_LEVEL, "KeFlushQueuedDpcs");
  machine::implementation& machine = the_machine();
  flush what;
  what.waiter = &thread.host->park;
  what.left = 1;
  std::vector<KDPC> markers(machine.active_processors());
  for (uint32_t i = 0; i < markers.size(); ++i) {
    processor& cpu = machine.processor_at(i);
    {
      internal_lock lock(cpu.mutex);
      if (IsListEmpty(&cpu.dpcs) && !cpu.running_dpc) continue;
    }
    KeInitializeDpc(&markers[i], flushed, &what);
    markers[i].SimulatedOwner = nullptr;
    markers[i].Importance = LowImportance;
    markers[i].Number = static_cast<USHORT>(first_target + i);
    what.left.fetch_add(1, std::memory_order_relaxed);
    insert_dpc(markers[i], nullptr, nullptr, cpu);
  }
  what.left.fetch_sub(1, std::memory_order_acq_rel);
  while (what.left.load(std::memory_order_acquire) != 0) the_scheduler.wait(thread.host->park);
}

NTSTATUS KeSetTargetProcessorDpcEx(PKDPC Dpc, PPROCESSOR_NUMBER ProcNumber) {
  require_dpc(Dpc, "KeSetTargetProcessorDpcEx");
  const ULONG index = KeGetProcessorIndexFromNumber(ProcNumber);
  if (index >= the_machine().active_processors()) return STATUS_INVALID_PARAMETER;
  Dpc->Number = static_cast<USHORT>(first_target + index);
  return STATUS_SUCCESS;
}

VOID KeSetTargetProcessorDpc(PKDPC Dpc, CCHAR Number) {
  require_dpc(Dpc, "KeSetTargetProcessorDpc");
  Dpc->Number = static_cast<USHORT>(first_target + static_cast<UCHAR>(Number));  // of group 0
}

VOID KeSetImportanceDpc(PKDPC Dpc, KDPC_IMPORTANCE Importance) {
  require_dpc(Dpc, "KeSetImportanceDpc");
  Dpc->Importance = static_cast<UCHAR>(Importance);
}
}
