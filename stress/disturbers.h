// The threads that make life hard: one that keeps records open for long, those that close what others reserved, one that
// suspends producers, one that switches types. All but the closers park at the gate, where they hold nothing.
#pragma once

#include <deque>
#include <memory>

#include "stress/producer.h"

namespace sluice::stress {

// Closes records that other threads and DPCs reserved, in another order, on another CPU.
class closer {
 public:
  closer(rig& on, uint32_t index);
  ~closer() { thread_.join(); }

 private:
  void run();
  rig& rig_;
  uint32_t index_;
  random_source random_;
  std::thread thread_;
};

// Keeps a reservation open for longer than the consumer waits, then commits it.
class hoarder {
 public:
  hoarder(rig& on, uint32_t index);
  ~hoarder() { thread_.join(); }
  writer& events() { return events_; }

 private:
  void run();
  rig& rig_;
  writer events_;
  random_source random_;
  std::thread thread_;
};

// Suspends producers at random moments: none may stop inside a reservation.
class suspender {
 public:
  suspender(rig& on, std::deque<producer>& producers);
  ~suspender() { thread_.join(); }

 private:
  void run();
  void suspend_one();
  rig& rig_;
  std::deque<producer>& producers_;
  random_source random_;
  std::thread thread_;
};

class type_switcher {
 public:
  explicit type_switcher(rig& on);
  ~type_switcher() { thread_.join(); }

 private:
  void run();
  rig& rig_;
  random_source random_;
  std::thread thread_;
};

}  // namespace sluice::stress
