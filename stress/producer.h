// A producer thread: an endless mix of writes, reservations held for a while, nested, handed over, discarded, with DPCs
// over them, moving between CPUs. Parks at the gate, where it holds nothing.
#pragma once

#include "stress/dpc_writers.h"

namespace sluice::stress {

class producer {
 public:
  producer(rig& on, dpc_writers& dpcs, uint32_t index, uint32_t cpu);
  ~producer() { thread_.join(); }

  void start();
  uint32_t tid() const { return first_event_tid + events_.index(); }
  bool is_attached() const { return attached_.load(std::memory_order_relaxed); }
  // Whether the thread is between reserve_event and the end of that record, in its critical region.
  bool inside() const { return inside_.load(std::memory_order_relaxed); }
  writer& events() { return events_; }
  uint64_t switched_off() const { return switched_off_; }

 private:
  void run();
  void act();
  void wander();
  void hold_in_section(uint32_t depth);
  void hold_freely(uint32_t depth);
  void hold_several();
  void over_open(uint32_t depth);
  uint32_t length();
  bool keep() { return !rig_.options.discards || !random_.one_in(10); }
  uint16_t section_type();
  uint16_t free_type();
  bool off(uint16_t type);
  void no_room();

  rig& rig_;
  dpc_writers& dpcs_;
  writer events_;
  random_source random_;
  uint32_t cpu_;
  bool wanders_;
  uint64_t switched_off_ = 0;
  uint64_t published_attempts_ = 0;
  std::atomic<bool> attached_{false};
  std::atomic<bool> inside_{false};
  std::thread thread_;
};

}  // namespace sluice::stress
