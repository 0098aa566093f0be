#include "kernel_port/wine/dpc.h"

#include <atomic>
#include <cstring>

#include "kernel_port/wine/imports.h"
#include "kernel_port/wine/rules.h"

namespace sluice::wine {
namespace {

// KDPC::Number, as NT keeps it: MAXIMUM_PROCESSORS + the target, or less if there is none.
constexpr USHORT has_target = 0x800;

struct dpc_queue {
  lock mutex;
  LIST_ENTRY waiting;
  HANDLE filled = nullptr;         // semaphore: one for each that waits
  std::atomic<uint64_t> queued{0};
  std::atomic<uint64_t> returned{0};
};
dpc_queue queues[cpu_count];

void run(PKDPC dpc, PVOID first, PVOID second, uint32_t cpu) {
  const irql_scope here(DISPATCH_LEVEL, cpu);
  dpc->DeferredRoutine(dpc, dpc->DeferredContext, first, second);
  if (this_thread().irql != DISPATCH_LEVEL) {
    report_violation("a DPC returned at another IRQL");
    set_irql(DISPATCH_LEVEL);
  }
}

ULONG NTAPI serve(PVOID parameter) {
  const auto cpu = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(parameter));
  SetThreadAffinityMask(reinterpret_cast<HANDLE>(-2), ULONG_PTR{1} << cpu);  // fails where there are fewer real ones: no matter
  dpc_queue& queue = queues[cpu];
  for (;;) {
    WaitForSingleObject(queue.filled, for_ever);
    PKDPC dpc = nullptr;
    PVOID first = nullptr, second = nullptr;
    {
      const locked held(queue.mutex);
      if (!IsListEmpty(&queue.waiting)) {
        dpc = CONTAINING_RECORD(RemoveHeadList(&queue.waiting), KDPC, DpcListEntry);
        first = dpc->SystemArgument1;
        second = dpc->SystemArgument2;
        dpc->DpcData = nullptr;  // from here on it may be queued again, and freed by its own routine
      }
    }
    if (dpc == nullptr) continue;  // it was removed
    run(dpc, first, second, cpu);
    queue.returned.fetch_add(1);
  }
}

void NTAPI initialize(PKDPC dpc, PKDEFERRED_ROUTINE routine, PVOID context) {
  std::memset(dpc, 0, sizeof *dpc);
  dpc->DeferredRoutine = routine;
  dpc->DeferredContext = context;
}

void NTAPI set_importance(PKDPC dpc, KDPC_IMPORTANCE importance) { dpc->Importance = static_cast<UCHAR>(importance); }

void NTAPI set_target(PKDPC dpc, CCHAR cpu) {
  if (static_cast<uint32_t>(cpu) >= cpu_count) {
    report_violation("a DPC targeted at a processor that there is not");
    return;
  }
  dpc->Number = static_cast<USHORT>(has_target + cpu);
}

NTSTATUS NTAPI set_target_ex(PKDPC dpc, PPROCESSOR_NUMBER cpu) {
  if (cpu->Group != 0 || cpu->Number >= cpu_count || cpu->Reserved != 0) return STATUS_INVALID_PARAMETER;
  dpc->Number = static_cast<USHORT>(has_target + cpu->Number);
  return STATUS_SUCCESS;
}

BOOLEAN NTAPI insert(PKDPC dpc, PVOID first, PVOID second) { return queue_dpc(dpc, first, second); }

BOOLEAN NTAPI remove(PKDPC dpc) {
  for (dpc_queue& queue : queues) {
    const locked held(queue.mutex);
    if (dpc->DpcData != &queue) continue;
    RemoveEntryList(&dpc->DpcListEntry);
    dpc->DpcData = nullptr;
    queue.returned.fetch_add(1);
    return TRUE;
  }
  return FALSE;
}

const kernel_function table[] = {
    {"KeInitializeDpc", address_of(&initialize), any_irql},
    {"KeSetImportanceDpc", address_of(&set_importance), any_irql},
    {"KeSetTargetProcessorDpc", address_of(&set_target), any_irql},
    {"KeSetTargetProcessorDpcEx", address_of(&set_target_ex), any_irql},
    {"KeInsertQueueDpc", address_of(&insert), any_irql},
    {"KeRemoveQueueDpc", address_of(&remove), any_irql},
    {"KeFlushQueuedDpcs", address_of(&flush_dpcs), PASSIVE_LEVEL},
};

}  // namespace

void start_dpc_queues() {
  for (uint32_t cpu = 0; cpu < cpu_count; ++cpu) {
    InitializeListHead(&queues[cpu].waiting);
    queues[cpu].filled = CreateSemaphoreW(nullptr, 0, 0x7fffffff, nullptr);
    CreateThread(nullptr, 0, &serve, reinterpret_cast<PVOID>(uintptr_t{cpu}), 0, nullptr);
  }
}

bool queue_dpc(PKDPC dpc, PVOID first, PVOID second) {
  const uint32_t cpu = dpc->Number >= has_target ? dpc->Number - has_target : current_cpu();
  dpc_queue& queue = queues[cpu];
  {
    const locked held(queue.mutex);
    // Compared and set under the lock of the queue that it would go to: drivers here do not aim one DPC anew while it waits.
    if (dpc->DpcData != nullptr) return false;
    dpc->DpcData = &queue;
    dpc->SystemArgument1 = first;
    dpc->SystemArgument2 = second;
    if (dpc->Importance == HighImportance) {
      InsertHeadList(&queue.waiting, &dpc->DpcListEntry);
    } else {
      InsertTailList(&queue.waiting, &dpc->DpcListEntry);
    }
    queue.queued.fetch_add(1);
  }
  ReleaseSemaphore(queue.filled, 1, nullptr);
  return true;
}

void flush_dpcs() {
  for (dpc_queue& queue : queues) {
    const uint64_t until = queue.queued.load();
    while (queue.returned.load() < until) Sleep(1);
  }
}

uint64_t dpcs_run() {
  uint64_t sum = 0;
  for (const dpc_queue& queue : queues) sum += queue.returned.load();
  return sum;
}


std::span<const kernel_function> dpc_functions() { return table; }

}  // namespace sluice::wine
