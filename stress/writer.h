// Makes events through the channel, keeps its own tally of them, and checks at each call what the ring may and may not do
// (R1, R3, R6). Used by one thread, or one DPC, at a time.
#pragma once

#include "stress/rig.h"

namespace sluice::stress {

class writer {
 public:
  writer(rig& on, uint32_t index);

  // Section types. Up to DISPATCH_LEVEL. False: no room.
  bool write_in_section(uint16_t type, uint32_t length);
  bool reserve_in_section(uint16_t type, uint32_t length, bool keep, held_record& held);
  bool write_anonymous(uint32_t length);

  // Free and wandering types. Below DISPATCH_LEVEL; free ones by a pinned thread.
  bool write_freely(uint16_t type, uint32_t length);
  bool reserve_freely(uint16_t type, uint32_t length, bool keep, reservation& held, event_head& head);

  // Longer than any record: refused, and counted.
  void write_too_long(uint16_t type);

  const tally& counted() const { return tally_; }
  tally& counted() { return tally_; }
  uint32_t index() const { return index_; }
  uint64_t sequence() const { return sequence_; }
  uint64_t attempts() const { return attempts_; }

 private:
  event_head compose(uint16_t type, uint32_t length, bool keep, uint32_t cpu) const;
  void compose_truth(event_head& head, uint32_t cpu, uint16_t type, bool keep);
  struct room {
    uint32_t used[lanes_per_cpu];
  };
  room check_positions(uint32_t cpu);
  void check_refusal(uint32_t cpu, uint16_t type, uint32_t length);
  void refused(uint32_t cpu, uint16_t type, uint32_t length);
  void count_free(uint32_t cpu, uint16_t type, uint32_t length, bool ok, bool keep);

  rig& rig_;
  uint32_t index_;
  uint64_t sequence_ = 0;
  uint64_t attempts_ = 0;
  tally tally_;
  std::vector<uint8_t> buffer_;
};

}  // namespace sluice::stress
