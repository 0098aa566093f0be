// Virtual CPUs and what owning one means: a thread at DISPATCH_LEVEL or above owns its CPU, and so does a
// DPC. Threads below DISPATCH_LEVEL need no CPU: they run at the same time, which is what preemption looks
// like from outside.
//
// Owning costs one exchange, giving back one store. The store is followed by a plain load of `attention`;
// whoever waits sets `attention` first and then makes every running thread pass a barrier (membarrier), so
// that either the waiter sees the store or the owner sees the waiter.
#pragma once

#include <atomic>
#include <deque>

#include "kernel_port/sim/internal_lock.h"
#include "kernel_port/sim/scheduled_thread.h"

namespace sluice::sim {

inline constexpr uint32_t attention_dpc = 1;     // DPCs are queued
inline constexpr uint32_t attention_waiter = 2;  // unit of the count of waiting threads

struct alignas(128) processor {
  std::atomic<uint32_t> owned{0};
  std::atomic<uint32_t> attention{0};
  std::atomic<host_thread*> owner{nullptr};  // for interprocessor calls and reports

  uint32_t index = 0;
  PROCESSOR_NUMBER number{};

  alignas(64) internal_mutex mutex;  // guards what follows
  std::deque<host_thread*> waiting;
  LIST_ENTRY dpcs{};
  uint32_t dpc_depth = 0;
  KDPC* running_dpc = nullptr;
  bool worker_started = false;
  bool worker_stops = false;
  scheduled_thread worker;
  parker worker_park;
};

void own_contended(processor& cpu, thread_state& thread);
void wake_waiter(processor& cpu);
void run_dpcs(processor& cpu, thread_state& thread);  // dpc.cpp; owns the CPU, at DISPATCH_LEVEL

// The caller has set thread.irql to DISPATCH_LEVEL or above before: a suspension cannot hit it here.
inline void own_processor(processor& cpu, thread_state& thread) {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  // acquire: pairs with the release in give_back_processor: the previous owner's section is over.
  if (cpu.owned.exchange(1, std::memory_order_acquire) != 0) [[unlikely]]
    own_contended(cpu, thread);
  cpu.owner.store(thread.host,
                  std::memory_order_relaxed);  // read under the machine's own stop, or for a report
}

inline void give_back_processor(processor& cpu) {
  cpu.owner.store(nullptr, std::memory_order_relaxed);
  cpu.owned.store(0, std::memory_order_release);  // pairs with the acquire in own_processor
  std::atomic_signal_fence(std::memory_order_seq_cst);
  // relaxed: ordered after the store by the waiter's membarrier.
  if (cpu.attention.load(std::memory_order_relaxed) >= attention_waiter) [[unlikely]]
    wake_waiter(cpu);
}

// What KeRaiseIrql looks at besides the level: nothing, as a rule.
inline constexpr uint32_t raise_attention_perturb = 1;
inline constexpr uint32_t raise_attention_paged =
    2;  // paged memory is accessible and must not be at DISPATCH_LEVEL
inline constexpr uint32_t raise_attention_code = 8;  // pageable code is there
inline constexpr uint32_t raise_attention_keys = 4;  // protection keys: deny at every raise
extern std::atomic<uint32_t> raise_attention;
void set_raise_attention(uint32_t bit, bool on);
void raise_slowly(thread_state& thread);  // after owning; irql.cpp
void lower_slowly(thread_state& thread);

// Below DISPATCH_LEVEL. Which CPU the thread is on now.
void move_to_processor(thread_state& thread, uint32_t index);
void move_to_any_processor(thread_state& thread, uint32_t random);

void raise_to(thread_state& thread, KIRQL irql);
void lower_to(thread_state& thread, KIRQL irql);

}  // namespace sluice::sim
