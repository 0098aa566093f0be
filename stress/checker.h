// Checks every record that the merge emits: M1 (order), M2 (each exactly once), R2 (times of a ring), R4 (losses announced
// at their place, and exactly), and that the content is whole. The consumer's thread only.
#pragma once

#include <map>
#include <set>

#include "pipeline/merge.h"
#include "stress/rig.h"

namespace sluice::stress {

using view_of_record = record_view<native_seam>;

class checker {
 public:
  // Writers number 0 .. writers - 1.
  checker(rig& on, uint32_t writers);

  // What the merge set aside on a CPU and has not delivered: how many numbers may be missing there.
  void set_outstanding(std::function<uint32_t(uint32_t cpu)> outstanding) { outstanding_ = std::move(outstanding); }

  void emitted(const view_of_record& record);
  void set_aside(const view_of_record& record);

  // Records of the ring before `position` that were set aside and never came were discarded.
  void forget_set_aside(uint32_t ring, uint64_t position);
  // Whether one that was set aside is committed by now.
  bool any_set_aside_closed() const;

  // At rest: nothing is missing any more. `sequences`: how many committed events each writer has made.
  void check_complete(const std::vector<uint64_t>& sequences) const;

  uint64_t received(uint32_t cpu, uint32_t type) const { return received_[cpu * max_record_types + type]; }
  uint64_t announced(uint32_t cpu, uint32_t type) const { return announced_[cpu * max_record_types + type]; }
  uint64_t announced_bytes(uint32_t cpu) const { return cpus_[cpu].announced_bytes; }
  uint64_t announced_events(uint32_t cpu) const;
  uint64_t total() const { return total_; }
  uint64_t bytes() const { return bytes_; }
  uint64_t late() const { return late_; }
  uint64_t late_by_margin() const { return late_by_margin_; }
  void dump(uint32_t cpu) const;

 private:
  struct place {
    uint64_t time = 0;
    uint32_t ring = 0;
    uint64_t position = 0;
  };
  struct brief {
    uint64_t time, position, sequence, serial;
    uint32_t length;
    uint32_t writer;
    uint16_t type;
    uint8_t lane;
    bool late;
  };
  struct cpu_state {
    uint64_t last_time = 0;  // of both lanes together
    uint8_t last_lane = 0;
    uint64_t next_serial = 0;
    std::set<uint64_t> missing;  // serials
    uint64_t section_announced = 0;
    uint64_t free_announced = 0;
    uint64_t announced_bytes = 0;
    uint64_t loss_end[lanes_per_cpu] = {};   // where the last LOSS record of the lane ended, and its time
    uint64_t loss_time[lanes_per_cpu] = {};
    brief history[24] = {};
    uint32_t history_count = 0;
  };
  struct writer_state {
    uint64_t next = 0;
    uint64_t count = 0;
    uint64_t last_time = 0;
    uint32_t last_cpu = unknown_cpu;
    std::set<uint64_t> missing;
  };

  void check_place(const view_of_record& record);
  void check_loss(const view_of_record& record);
  void check_event_record(const view_of_record& record);
  void check_serial(const view_of_record& record, const event_head& head);
  void check_sequence(const view_of_record& record, const event_head& head);
  void check_announced(const view_of_record& record, const event_head& head);
  void remember(const view_of_record& record);
  uint32_t outstanding_everywhere() const;

  rig& rig_;
  std::function<uint32_t(uint32_t)> outstanding_;
  place last_;
  std::vector<cpu_state> cpus_;
  std::vector<uint64_t> ring_positions_;  // next of each ring
  std::vector<writer_state> writers_;
  std::vector<uint64_t> received_;
  std::vector<uint64_t> announced_;
  std::set<std::pair<uint32_t, uint64_t>> set_aside_;  // (ring, position)
  uint64_t total_ = 0;
  uint64_t bytes_ = 0;
  uint64_t late_ = 0;
  uint64_t late_by_margin_ = 0;
};

}  // namespace sluice::stress
