// Who descends from whom, as far as the process callbacks have told, and the verdicts of filters that follow it.
//
// A process that exits leaves its children to its own parent, so the tree holds living processes only, and those that were
// named as a parent but not seen to start. Bounded: a process that finds no room is counted, and its own children are
// nobody's descendants.
//
// Up to DISPATCH_LEVEL, any thread: one spin lock, held for a few dozen instructions for each process that comes or goes and for each
// child that one leaves behind, and while a filter's rules are spread over the tree. Callbacks that only ask for a verdict do not come here.
#pragma once

#include "producers/process_verdicts.h"
#include "producers/scopes.h"

namespace sluice {

class process_tree {
 public:
  static constexpr uint32_t capacity = 8192;

  process_tree() { KeInitializeSpinLock(&lock_); }
  process_tree(const process_tree&) = delete;
  process_tree& operator=(const process_tree&) = delete;

  // PASSIVE_LEVEL. False: no memory.
  [[nodiscard]] _IRQL_requires_(PASSIVE_LEVEL)
  bool create(const kernel_functions& functions);

  // From the process callback: before anything is decided about the new process, after the last of one that exits.
  _IRQL_requires_max_(DISPATCH_LEVEL)
  void started(uint32_t pid, uint32_t parent);
  _IRQL_requires_max_(DISPATCH_LEVEL)
  void exited(uint32_t pid);

  // Fills empty `verdicts` from `rules`, and lets them follow the tree from then on. Room must be there for each rule, or
  // with rules for descendants for every process besides. Returns the index of a second rule for a process; else `count`.
  [[nodiscard]] _IRQL_requires_max_(DISPATCH_LEVEL)
  uint32_t follow(process_verdicts& verdicts, const filter_process* rules, uint32_t count);
  _IRQL_requires_max_(DISPATCH_LEVEL)
  void forget(process_verdicts& verdicts);
  // Fills them in the same way, and they do not follow.
  [[nodiscard]] _IRQL_requires_max_(DISPATCH_LEVEL)
  uint32_t judge(process_verdicts& verdicts, const filter_process* rules, uint32_t count);

  // Processes that found no room, since load.
  uint32_t untracked() const { return untracked_.load(memory_order::relaxed); }

 private:
  static constexpr uint32_t followers = 2;  // the filter in force, and the next one
  static constexpr uint32_t buckets = 4096;
  static constexpr uint32_t nobody = 0;     // index 0 is no process

  struct node {
    uint32_t pid;
    uint32_t parent;
    uint32_t first_child;
    uint32_t next_sibling;
    uint32_t previous_sibling;
    uint32_t next_in_bucket;  // or among the free ones
  };

  uint32_t& bucket_of(uint32_t pid) { return buckets_[(pid * 0x9e3779b1u) >> 16 & (buckets - 1)]; }
  _IRQL_requires_max_(DISPATCH_LEVEL)
  uint32_t find(uint32_t pid);
  _IRQL_requires_max_(DISPATCH_LEVEL)
  uint32_t add(uint32_t pid);
  _IRQL_requires_max_(DISPATCH_LEVEL)
  void remove(uint32_t index);
  _IRQL_requires_max_(DISPATCH_LEVEL)
  void adopt(uint32_t child, uint32_t parent);
  _IRQL_requires_max_(DISPATCH_LEVEL)
  void leave_parent(uint32_t child);
  _IRQL_requires_max_(DISPATCH_LEVEL)
  uint32_t fill(process_verdicts& verdicts, const filter_process* rules, uint32_t count);
  _IRQL_requires_max_(DISPATCH_LEVEL)
  void spread(process_verdicts& verdicts, uint32_t from, process_verdict verdict);
  void note(bool had_room) {
    // Relaxed: a figure; written under the lock.
    if (!had_room) untracked_.store(untracked_.load(memory_order::relaxed) + 1, memory_order::relaxed);
  }

  KSPIN_LOCK lock_{};
  nonpaged_memory nodes_memory_;
  node* nodes_ = nullptr;
  uint32_t* buckets_ = nullptr;
  uint32_t free_ = nobody;
  uint32_t used_ = 1;  // nodes that were ever taken
  atomic_word untracked_{};
  process_verdicts* following_[followers] = {};
};

}  // namespace sluice
