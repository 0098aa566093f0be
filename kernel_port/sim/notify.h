// The registries of notify routines, with NT's limits, status codes and calling rules.
//
// A routine may be removed while it runs elsewhere: removal waits for it. The caller of a routine counts
// itself in, looks again whether the routine is still there, and calls; the remover takes it out and waits
// for the count to be zero.
#pragma once

#include <array>

#include "kernel_port/sim/process.h"

namespace sluice::sim {

struct notify_slot {
  std::atomic<void*> routine{nullptr};
  std::atomic<uint32_t> running{0};
  std::atomic<parker*> remover{nullptr};
  bool taken = false;  // guarded by the registry's mutex; also while its removal waits
  uint32_t form = 0;   // which registration call
  uint64_t flags = 0;
  driver_record* driver = nullptr;
};

class notify_registry {
 public:
  static constexpr uint32_t maximum = 64;

  NTSTATUS add(void* routine, uint32_t form, uint64_t flags, uint32_t limit, NTSTATUS full,
               bool refuse_duplicate);
  NTSTATUS remove(void* routine, uint32_t form, const char* function);
  // Calls `call(slot, routine)` for each routine, in order of their slots.
  template <class Call>
  void for_each(Call&& call) {
    const uint32_t used = used_.load(std::memory_order_acquire);
    for (uint32_t i = 0; i < used; ++i) {
      notify_slot& slot = slots_[i];
      if (!slot.routine.load(std::memory_order_relaxed)) continue;
      // seq_cst on count and routine: pairs with remove(), which clears the routine and then reads the count.
      slot.running.fetch_add(1);
      if (void* routine = slot.routine.load()) call(slot, routine);
      leave(slot);
    }
  }
  bool empty() const { return used_.load(std::memory_order_acquire) == 0; }
  uint64_t count();
  // A routine of this driver that is still registered (any driver's if `any`); null if there is none.
  const void* find_of(const driver_record* driver, bool any = false);

  // One call into a slot is over; the last one wakes who waits to remove it.
  static void leave(notify_slot& slot);

 private:

  internal_mutex mutex_;
  std::array<notify_slot, maximum> slots_;
  std::atomic<uint32_t> used_{0};  // slots ever used
};

class notify_registries {
 public:
  notify_registry process;
  notify_registry thread;
  notify_registry image;

  NTSTATUS process_created(PEPROCESS object, const process_creation& creation, const thread_state& creator);
  void process_exited(PEPROCESS object);
  void thread_created(PETHREAD object);
  void thread_exited(PETHREAD object);
  void image_loaded(const image_loading& loading);
  raised_counts raised() const;

 private:
  std::atomic<uint64_t> process_create_{0}, process_exit_{0}, thread_create_{0}, thread_exit_{0},
      image_load_{0};
};

}  // namespace sluice::sim
