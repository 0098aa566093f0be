// A design that drivers use: one ring of events for all processors behind a queued (MCS) spin lock, as with
// KeAcquireInStackQueuedSpinLock. The producer stamps and copies under the lock, so that the ring is in order; the consumer
// copies up to 64 events out under it, and looks at them afterwards. Our own rendering.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "bench/event.h"
#include "bench/handover.h"

namespace sluice::bench {

class queued_spin_lock {
 public:
  struct place {
    std::atomic<place*> next{nullptr};
    std::atomic<bool> waiting{false};
  };
  void acquire(place& mine) {
    mine.next.store(nullptr, std::memory_order_relaxed);
    mine.waiting.store(true, std::memory_order_relaxed);
    place* const before = last_.exchange(&mine, std::memory_order_acq_rel);
    if (before == nullptr) return;
    before->next.store(&mine, std::memory_order_release);
    while (mine.waiting.load(std::memory_order_acquire)) relax(1);
  }
  void release(place& mine) {
    place* next = mine.next.load(std::memory_order_acquire);
    if (next == nullptr) {
      place* expected = &mine;
      if (last_.compare_exchange_strong(expected, nullptr, std::memory_order_acq_rel)) return;
      while ((next = mine.next.load(std::memory_order_acquire)) == nullptr) relax(1);
    }
    next->waiting.store(false, std::memory_order_release);
  }

 private:
  alignas(128) std::atomic<place*> last_{nullptr};
};

template <class of_clock>
class queued_lock_ring {
 public:
  using clock = of_clock;
  static std::string name() { return "queued_lock_ring"; }

  explicit queued_lock_ring(size_t events = queue_events) : slots_(events) {}

  void push(const event_payload& payload) {
    while (!try_push(payload)) relax();
  }
  // False: no room.
  bool try_push(const event_payload& payload) {
    queued_spin_lock::place mine;
    lock_.acquire(mine);
    const bool room = waiting_ < slots_.size();
    if (room) {
      slots_[put_] = {clock_.now(), payload};
      step(put_);
      ++waiting_;
    }
    lock_.release(mine);
    return room;
  }
  void finish() {}

  template <class visitor>
  size_t drain(visitor& visit) {
    queued_spin_lock::place mine;
    lock_.acquire(mine);
    const size_t count = std::min(waiting_, std::size(out_));
    for (size_t i = 0; i < count; ++i) {
      out_[i] = slots_[take_];
      step(take_);
    }
    waiting_ -= count;
    lock_.release(mine);
    for (size_t i = 0; i < count; ++i) visit(out_[i].time, reinterpret_cast<const uint8_t*>(&out_[i].payload));
    return count;
  }

 private:
  void step(size_t& place) const { place = place + 1 == slots_.size() ? 0 : place + 1; }

  queued_spin_lock lock_;
  alignas(128) size_t waiting_ = 0;
  size_t put_ = 0;
  size_t take_ = 0;
  clock clock_;
  std::vector<timed_event> slots_;
  alignas(128) timed_event out_[64];
};

}  // namespace sluice::bench
