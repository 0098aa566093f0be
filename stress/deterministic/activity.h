// A thread of the machine on which things happen, as many as its plan says: what callbacks report, and the driver's own events, written
// in every way that there is.
#pragma once

#include <memory>

#include "kernel_port/driver/sensor.h"
#include "stress/deterministic/plan.h"
#include "stress/event.h"
#include "stress/random.h"

namespace sluice::stress {

inline constexpr uint32_t writers_per_activity = 2;  // itself, and its DPC

class deterministic_activity {
 public:
  deterministic_activity(sim::machine& machine, const run_plan& plan, const filler& from, uint32_t index, channel& to, uint16_t own_type);

  void run();
  uint32_t tid() const;
  bool has_ended() const { return ended_; }
  struct tally {
    uint64_t attempted = 0, kept = 0, discarded = 0;
  };
  const tally& of_writer(uint32_t writer) const { return tallies_[writer]; }

 private:
  void act(sim::activity& here);
  void step();
  void load_image();
  void live_and_die();
  void set_value();
  void come_and_go();
  void write_own();
  void reserve_own(uint32_t depth);
  void let_dpc_write();
  void dawdle();
  uint32_t begin_event(uint32_t writer, bool keep, event_head& head);
  static VOID NTAPI dpc_routine(PKDPC, PVOID context, PVOID, PVOID);

  sim::machine& machine_;
  const run_plan& plan_;
  const filler& filler_;
  const uint32_t index_;
  channel& to_;
  const uint16_t own_type_;
  random_source random_, dpc_random_;
  tally tallies_[writers_per_activity];
  uint64_t images_ = 0;
  uint32_t values_ = 0, lives_ = 0;
  std::unique_ptr<KDPC> dpc_;
  bool ended_ = false;
  bool dpc_is_out_ = false;  // queued or running: two at once would mix up their numbers
};

// For so long by the machine's clock. Any thread that takes turns.
void pause_for(uint64_t nanoseconds);

}  // namespace sluice::stress
