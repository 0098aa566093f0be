// KeRaiseIrql and KeLowerIrql: the hot path of every driver that keeps per-CPU data. Nothing here but the
// level, one exchange, one store, and the checks that send a broken rule to irql.cpp.
#include "kernel_port/sim/irql.h"
#include "kernel_port/sim/processor.h"

namespace sluice::sim {

thread_local constinit thread_state this_thread_state;
std::atomic<uint32_t> raise_attention{0};

namespace {

inline __attribute__((always_inline)) KIRQL raise_inline(thread_state& thread, KIRQL irql) {
  const KIRQL old = thread.irql;
  if (irql < old || irql > HIGH_LEVEL) [[unlikely]]
    stop_raise(thread, irql);
  if (irql >= DISPATCH_LEVEL && old < DISPATCH_LEVEL) {
    // relaxed: a flag that tells of more work to do; what it guards has its own synchronization.
    const uint32_t attention = raise_attention.load(std::memory_order_relaxed);
    if (attention & raise_attention_perturb) [[unlikely]]
      the_scheduler.point(point_kind::raise);
    thread.irql = irql;
    own_processor(*thread.cpu, thread);
    if (attention > raise_attention_perturb) [[unlikely]]
      raise_slowly(thread);
  } else {
    thread.irql = irql;
  }
  return old;
}

inline __attribute__((always_inline)) void lower_inline(thread_state& thread, KIRQL irql) {
  const KIRQL old = thread.irql;
  if (irql > old || old > HIGH_LEVEL) [[unlikely]]
    stop_lower(thread, irql);
  if (old >= DISPATCH_LEVEL && irql < DISPATCH_LEVEL) {
    processor& cpu = *thread.cpu;
    if (thread.in_dpc) [[unlikely]]
      stop_lower(thread, irql);
    // A DPC that waits for this CPU interrupts this thread here, before it goes on below DISPATCH_LEVEL.
    if (cpu.attention.load(std::memory_order_relaxed) & attention_dpc) [[unlikely]]
      run_dpcs(cpu, thread);
    if (raise_attention.load(std::memory_order_relaxed) & raise_attention_keys) [[unlikely]]
      lower_slowly(thread);
    give_back_processor(cpu);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    thread.irql = irql;
    if (raise_attention.load(std::memory_order_relaxed) & raise_attention_perturb) [[unlikely]] {
      the_scheduler.point(point_kind::lower);
    }
  } else {
    thread.irql = irql;
  }
  deliver_requests_if_any(thread);
}

}  // namespace

void raise_to(thread_state& thread, KIRQL irql) {
  raise_inline(thread, irql);
}
void lower_to(thread_state& thread, KIRQL irql) {
  lower_inline(thread, irql);
}

}  // namespace sluice::sim

extern "C" {

VOID KeRaiseIrql(KIRQL NewIrql, PKIRQL OldIrql) {
  *OldIrql = sluice::sim::raise_inline(sluice::sim::self(), NewIrql);
}
KIRQL KfRaiseIrql(KIRQL NewIrql) {
  return sluice::sim::raise_inline(sluice::sim::self(), NewIrql);
}
VOID KeLowerIrql(KIRQL NewIrql) {
  sluice::sim::lower_inline(sluice::sim::self(), NewIrql);
}
VOID KfLowerIrql(KIRQL NewIrql) {
  sluice::sim::lower_inline(sluice::sim::self(), NewIrql);
}
KIRQL KeRaiseIrqlToDpcLevel(VOID) {
  return sluice::sim::raise_inline(sluice::sim::self(), DISPATCH_LEVEL);
}
}
