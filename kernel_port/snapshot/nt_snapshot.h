// One immutable object behind one pointer, in an NT driver: read from callbacks up to DISPATCH_LEVEL that may fault, be
// preempted or be moved to another CPU while they read; replaced as a whole at PASSIVE_LEVEL. The protocol and its
// invariants (S1 to S4) are in reader_counts.h; docs/decisions/0012 has what was rejected.
//
//   any                    any IRQL: one load. Without a snapshot that is all a reader pays
//   snapshot_reader        up to DISPATCH_LEVEL; two short sections, no locked instruction, no fence, no wait
//   replace                PASSIVE_LEVEL, one caller at a time; waits for the readers of the former snapshot
//
// kernel_port/snapshot/rcu_snapshot.h is the same interface for user builds.
#pragma once

#include "kernel_port/snapshot/processor_barrier.h"
#include "kernel_port/snapshot/reader_counts.h"
#include "producers/scopes.h"

namespace sluice {

template <class object>
class nt_snapshot {
 public:
  nt_snapshot() = default;
  nt_snapshot(const nt_snapshot&) = delete;
  nt_snapshot& operator=(const nt_snapshot&) = delete;

  // PASSIVE_LEVEL. False: no memory.
  [[nodiscard]] bool create(const kernel_functions& functions) {
    cpus_ = maximum_processors();
    return counts_.allocate(functions, cpus_) && barrier_.create(functions);
  }

  // Relaxed: a hint; the reader looks again in its section.
  bool any() const { return current_.load(memory_order::relaxed) != no_snapshot; }

  // Puts `next` in the place of the snapshot there is; null: none from now on. Returns the former one (or null), which nobody
  // reads any more. A reader that begins after this has `next`.
  [[nodiscard]] object* replace(object* next) {
    // Relaxed: only replace() writes it, and its callers come one after the other.
    const uint32_t former = current_.load(memory_order::relaxed);
    const uint32_t slot = next == nullptr ? no_snapshot : former == 1 ? 2 : 1;
    if (slot != no_snapshot) slots_[slot] = next;  // slot 0 stays null: readers look at it at any time
    current_.store(slot, order::publish_snapshot);
    if (former == no_snapshot) return nullptr;
    barrier_.run();
    for (uint32_t attempt = 0; !is_drained(counts_.data(), cpus_, former); ++attempt) pause(attempt);
    object* const gone = slots_[former];
    slots_[former] = nullptr;
    return gone;
  }

 private:
  template <class>
  friend class snapshot_reader;

  // A reader is through in a microsecond, unless it was preempted or faults.
  static void pause(uint32_t attempt) {
    if (attempt < 64) {
      YieldProcessor();
      return;
    }
    LARGE_INTEGER interval;
    interval.QuadPart = -1000;  // 100 us
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
  }

  atomic_word current_{};
  uint32_t cpus_ = 0;
  object* slots_[snapshot_slots] = {};
  nonpaged_array<reader_counts<atomic_word>> counts_;
  processor_barrier barrier_;
};

// The right to read the snapshot that there was at construction, until leave() or destruction. On the stack of one thread.
template <class object>
class snapshot_reader {
 public:
  explicit snapshot_reader(nt_snapshot<object>& of) : of_(of) {
    if (!of.any()) [[likely]] return;
    const dispatch_section section;
    slot_ = of.counts_[section.cpu()].enter(of.current_);
    object_ = of.slots_[slot_];
  }
  ~snapshot_reader() {
    if (object_ != nullptr) leave([](uint32_t) {});
  }
  snapshot_reader(const snapshot_reader&) = delete;
  snapshot_reader& operator=(const snapshot_reader&) = delete;

  // Null: there was none, or leave() was called.
  object* get() const { return object_; }

  // Ends the reading. `last(cpu)` runs in the section that counts the end: at DISPATCH_LEVEL, on that CPU, with
  // the snapshot still there. Only while get() is not null.
  template <class action>
  void leave(action&& last) {
    const dispatch_section section;
    last(section.cpu());
    of_.counts_[section.cpu()].leave(slot_);
    object_ = nullptr;
  }

 private:
  nt_snapshot<object>& of_;
  object* object_ = nullptr;
  uint32_t slot_ = no_snapshot;
};

}  // namespace sluice
