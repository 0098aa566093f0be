// One immutable object behind one pointer, for producers in an ordinary process: the interface of nt_snapshot.h over
// liburcu (its membarrier flavour: readers pay no fence). A thread that reads is registered with rcu_register_thread().
//
// No part of the driver: on the simulated kernel the driver's own form runs. docs/decisions/0012.
#pragma once

#include <urcu/urcu-memb.h>

namespace sluice {

template <class object>
class rcu_snapshot {
 public:
  rcu_snapshot() = default;
  rcu_snapshot(const rcu_snapshot&) = delete;
  rcu_snapshot& operator=(const rcu_snapshot&) = delete;

  bool any() const { return CMM_LOAD_SHARED(current_) != nullptr; }

  // One caller at a time. Returns the former object, which nobody reads any more.
  [[nodiscard]] object* replace(object* next) {
    object* const former = rcu_xchg_pointer(&current_, next);
    if (former != nullptr) urcu_memb_synchronize_rcu();
    return former;
  }

 private:
  template <class>
  friend class rcu_snapshot_reader;
  object* current_ = nullptr;
};

template <class object>
class rcu_snapshot_reader {
 public:
  explicit rcu_snapshot_reader(rcu_snapshot<object>& of) {
    if (!of.any()) return;
    urcu_memb_read_lock();
    inside_ = true;
    object_ = rcu_dereference(of.current_);
  }
  ~rcu_snapshot_reader() {
    if (inside_) urcu_memb_read_unlock();
  }
  rcu_snapshot_reader(const rcu_snapshot_reader&) = delete;
  rcu_snapshot_reader& operator=(const rcu_snapshot_reader&) = delete;

  object* get() const { return object_; }

 private:
  object* object_ = nullptr;
  bool inside_ = false;
};

}  // namespace sluice
