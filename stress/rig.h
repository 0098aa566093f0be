// What all threads of a run share: the channel, the truth about each CPU, the gate, the records that wait to be closed by
// another thread. Lives inside a machine; made and destroyed by a thread that holds an activity.
#pragma once

#include <memory>

#include "kernel_port/sim/machine.h"
#include "producers/channel.h"
#include "stress/event.h"
#include "stress/gate.h"
#include "stress/options.h"
#include "stress/report.h"
#include "stress/truth.h"

namespace sluice::stress {

// A reservation that its writer holds by value; any thread may finish it.
struct held_record {
  kernel_record record{};
  event_head head{};
  uint32_t cpu = 0;
  uint32_t position = 0;
  uint16_t type = 0;
  uint8_t lane = 0;
  bool keep = false;
};

// Records on their way to a closing thread. Up to DISPATCH_LEVEL.
class hand_over_queue {
 public:
  static constexpr uint32_t capacity = 128;

  hand_over_queue() { KeInitializeSpinLock(&lock_); }
  bool push(const held_record& held);
  bool pop(held_record& held);
  // Pushed and not yet closed.
  uint32_t open() const { return open_.load(std::memory_order_acquire); }
  void closed() {
    open_.fetch_sub(1, std::memory_order_release);
    closed_.fetch_add(1, std::memory_order_relaxed);
  }
  uint64_t closed_elsewhere() const { return closed_.load(std::memory_order_relaxed); }

 private:
  KSPIN_LOCK lock_;
  uint32_t count_ = 0;
  held_record held_[capacity];
  std::atomic<uint32_t> open_{0};
  std::atomic<uint64_t> closed_{0};
};

class rig {
 public:
  rig(sim::machine& machine, const stress_options& options);
  ~rig();
  rig(const rig&) = delete;
  rig& operator=(const rig&) = delete;

  // Fills an open record. The context stands already where the channel put it.
  void fill(uint8_t* payload, event_head& head, bool context_stands) const;
  // Fills nothing any more: checks that nobody else wrote there and that its room is not given away (R1), and closes it.
  void finish(const held_record& held);
  // The ring must not have given away the room of this open record: R1.
  void check_still_open(const held_record& held) const;

  sim::machine& machine;
  const stress_options& options;
  class channel channel;
  class filler filler;
  std::unique_ptr<cpu_truth[]> truth;
  gate producers_gate;
  hand_over_queue hand_over;
  std::atomic<bool> closers_stop{false};
  uint32_t longest_payload;

  std::atomic<uint64_t> attempted{0};  // in steps: for progress and the end of the run
  std::atomic<uint64_t> suspensions{0};

  // Whether the consumer has taken all that is published.
  bool drained() const;

  // Pins the calling thread to a virtual CPU.
  static void pin_to(uint32_t cpu);
};

// One pass of a random small delay, as a preempted or slow producer makes.
class random_source;
void disturb(random_source& random, const stress_options& options);

}  // namespace sluice::stress
