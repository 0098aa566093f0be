// The reference: what the rings of several CPUs, their merge and their account must do, told with plain
// queues.
//
// Nothing of pipeline/ is included and no idea of it is used: no positions modulo anything, no headers, no
// walk, no cached copies, no tournament. Where the pipeline has a rule that is a matter of taste (how long a
// LOSS record is, which lane takes what), the rule is written down here a second time. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice::reference {

inline constexpr uint32_t types = 64;
inline constexpr uint16_t loss_type = 1;
inline constexpr uint32_t header_bytes = 16;
inline constexpr uint32_t lanes = 2;
inline constexpr uint32_t most_set_aside = 64;  // of one lane, at once

// What is the same for every CPU.
struct rules {
  uint64_t main_capacity, spare_capacity;
  uint64_t critical_bytes;   // of the main capacity, for critical types only
  uint64_t longest;          // record, header included
  uint64_t critical_types;   // a bit for each
  uint64_t margin;           // ticks by which a pass's T is behind the clock
  uint64_t set_aside_after;  // ticks; 0: never
  bool overwrites = false;   // the oldest make room; nothing is set aside then
};

enum class life { reserved, open, committed, discarded };
enum class reason { ring_full, critical_full, too_long };
inline constexpr uint32_t reasons = 3;

struct loss {
  uint64_t first_time = 0, last_time = 0, bytes = 0, events = 0;
  std::map<uint16_t, uint64_t> by_type;
  bool operator==(const loss&) const = default;
};

struct event {
  uint16_t type = 0;
  uint64_t length = 0;    // header included
  uint64_t position = 0;  // bytes written to this lane before it
  uint64_t time = 0;
  life state = life::reserved;
  bool set_aside = false;
  std::optional<uint64_t> content;  // what its payload was filled with
  loss lost;                        // of a LOSS record
  bool tells_of_overwritten = false;  // no record of its lane: made by the reader
};

struct row {
  uint64_t attempted = 0, committed = 0, discarded = 0, open = 0;
  uint64_t dropped[reasons] = {};
  uint64_t overwritten = 0;  // of the committed: before the consumer had given them back
};

// What became of a request for room: lane and record, or neither and the reason.
struct grant {
  bool valid = false;  // the type is one of the format's
  std::optional<uint32_t> lane;
  event* record = nullptr;  // stays where it is until it was closed and given back
  event* announcement = nullptr;
  reason why = reason::ring_full;
  uint32_t cpu = 0;
  uint16_t type = 0;
  uint64_t length = 0;
};

enum class stop { idle, reserved, stamped, sink_full };

struct emission {
  uint32_t lane;  // of all: 2 * cpu + lane
  event what;
  bool late;
};

struct pass_outcome {
  stop end = stop::idle;
  uint32_t lane = 0;            // the one that ended it
  bool closed_pending = false;  // some lane begins with a closed record
  uint64_t open_time = 0;       // of the oldest first record that is open
  std::vector<emission> emitted;
};

class machine {
 public:
  machine(const rules& with, const std::vector<uint64_t>& start_positions);

  // A request for room, up to the moment at which the clock is read; then the clock is read.
  grant ask(uint32_t cpu, uint16_t type, uint64_t payload);
  void time_is(const grant& given, uint64_t clock);
  void close(const grant& given, bool commit);

  // One pass of the merge whose T comes from `clock`, into a sink that has room for so many records.
  pass_outcome pass(uint64_t clock, uint64_t room);
  void release();

  const row& account(uint32_t cpu, uint16_t type) const { return cpus_[cpu].rows[type]; }
  const loss& figures(uint32_t cpu) const { return cpus_[cpu].figures; }
  uint32_t cpus() const { return static_cast<uint32_t>(cpus_.size()); }
  uint64_t late() const { return late_; }
  uint64_t set_aside() const { return set_aside_; }
  uint64_t discarded() const { return discarded_; }
  uint64_t announced_as_overwritten() const { return announced_as_overwritten_; }
  // Records of a lane that the consumer has not taken.
  uint64_t pending(uint32_t lane) const { return lanes_[lane].queue.size() - lanes_[lane].taken; }

 private:
  struct lane_queue {
    std::deque<event> queue;  // oldest first; all whose room is taken
    uint64_t taken = 0;       // so many of them the consumer is past
    uint64_t used = 0;        // bytes
    uint64_t next_position = 0;
    uint64_t last_taken_time = 0;
    uint32_t aside = 0;
    // Overwriting lanes. What was overwritten and not taken, by type; begin: where the consumer stood, or how far it had come
    // when it last looked.
    uint64_t released = 0;   // position up to which the consumer has given back
    uint64_t stood_at = 0;   // position of the consumer as of its last pass
    uint64_t missed_from = 0, missed_bytes = 0;
    bool missed = false;
    std::map<uint16_t, uint64_t> overwritten, missed_by_type;
  };
  struct cpu_state {
    uint64_t last_time = 0;
    loss gap;      // not announced yet
    loss figures;  // since the beginning; the times are those of the last gap
    row rows[types];
  };

  uint64_t clamp(cpu_state& of, uint64_t clock);
  event* append(lane_queue& to, uint16_t type, uint64_t length);
  bool take_late(pass_outcome& result, uint64_t& room);
  bool find_room(lane_queue& in, uint64_t need, uint64_t limit, cpu_state& of);
  uint64_t oldest_position(const lane_queue& of) const;
  uint64_t next_to_take(const lane_queue& of) const;
  void notice_overwritten();
  bool announces_overwritten(const lane_queue& from) const;
  event overwritten_loss(const lane_queue& from, uint64_t time) const;

  rules rules_;
  std::vector<cpu_state> cpus_;
  std::vector<lane_queue> lanes_;
  std::pair<uint64_t, uint32_t> last_emitted_{0, 0};
  uint64_t late_ = 0, set_aside_ = 0, discarded_ = 0, announced_as_overwritten_ = 0;
};

}  // namespace sluice::reference
