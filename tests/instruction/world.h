// What is stepped: two CPUs with both lanes each, a merge over them, and a log of what was asked for and what came of it.
//
// All of it lies in one piece of memory without pointers out of it that change, so that save() and restore() make every
// continuation start from the same state. The log is written by the test's own hooks, never derived from the rings:
// log order within a CPU is the order of its sections.
//
// The section of a CPU (DISPATCH_LEVEL) is a word that stepped code sets by hooks: another producer of that CPU that wants
// to run meanwhile is put off to its end, as a DPC is. Consumers and other CPUs are not.
//
// Failures are kept, the first with where it happened; nothing throws and nothing waits, as hooks run in a trap handler.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>

#include "pipeline/cpu_rings.h"
#include "pipeline/merge.h"
#include "pipeline/wake.h"

namespace sluice::instruction {

inline constexpr uint16_t ordinary_type = 40;
inline constexpr uint16_t critical_type = 41;
inline constexpr uint16_t other_type = 42;
inline constexpr uint16_t stale_type = 63;  // of the records that an earlier lap seems to have left everywhere
inline constexpr uint16_t checked_types[] = {ordinary_type, critical_type, other_type, record_type_loss};

inline constexpr ring_geometry main_geometry{4096, max_loss_record, 1024};
inline constexpr ring_geometry spare_geometry{4096, max_loss_record, 0};
inline constexpr uint32_t too_long = max_loss_record + 1 - record_header_size;  // payload bytes

inline constexpr uint32_t cpus = 2;
inline constexpr uint32_t rings = cpus * lanes_per_cpu;
inline constexpr uint64_t tick = 16;  // between two clock reads; the spare lane needs the room between

// One instruction, so that no interrupt sees it half done: as rdtsc is.
struct tick_clock {
  uint64_t* counter = nullptr;
  uint64_t now() {
    uint64_t read = tick;
    __asm__ volatile("xaddq %0, %1" : "+r"(read), "+m"(*counter));
    return read;
  }
};

// The interrupt at an instruction is the barrier. A bound that was taken at an earlier instruction can be given.
struct interrupt_order {
  uint64_t* earlier_bound = nullptr;  // 0: take one now
  uint64_t take_bound(tick_clock& clock) { return *earlier_bound != 0 ? *earlier_bound : clock.now(); }
};

using producer_rings = cpu_rings<native_seam, tick_clock>;
using consumer_merge = merge<native_seam, tick_clock, interrupt_order>;

enum class deed : uint8_t { write, commit, discard };  // reserve, fill, then commit or discard
struct operation {
  deed what = deed::write;
  uint8_t cpu = 0;
  uint16_t type = ordinary_type;
  uint32_t length = 8;  // of the payload
};

enum class outcome : uint8_t { running, ok, dropped };
enum class fate : uint8_t { open, committed, discarded };

// An operation in the log.
struct log_entry {
  operation asked;
  outcome result = outcome::running;
  fate end = fate::open;
  uint8_t lane = 0;
  bool running = true;      // its producer may still close it: the header may be ahead of the log
  uint32_t position = 0;    // of the record
  uint32_t loss_length = 0; // of the LOSS record right in front of it; 0: none
  uint64_t earliest = 0;    // its time is from here
  uint64_t latest = 0;      // to here
  uint32_t consumed[lanes_per_cpu] = {};  // what its section could at least count on
};

struct world;

// A producer at work on one operation: what stepped code is given.
struct activity {
  world* home = nullptr;
  operation asked;
  const uint8_t* payload = nullptr;
  uint32_t entry = ~0u;  // in the log, from where its section begins
  reserve_status status = reserve_status::dropped;
  open_record<native_seam> open{};
};

struct delivered_record {
  uint64_t time;
  uint64_t position;
  uint8_t ring;
};

struct world {
  static constexpr uint32_t max_log = 160;
  static constexpr uint32_t max_activities = 8;
  static constexpr uint32_t max_deferred = 4;

  // What save() keeps besides the rings' memory.
  struct machine {
    uint64_t counter = 1000;
    uint64_t earlier_bound = 0;
    producer_rings producers[cpus];
    uint32_t section[cpus] = {};  // 1 + entry whose producer holds the section; 0: free
    ring_reader<native_seam> readers[rings];
    ring_head heads[rings];
    tournament_node nodes[tournament_nodes(rings)];
    consumer_merge merged{tick_clock{}, interrupt_order{}};
    uint64_t taken_time[rings] = {};  // of the last record that the consumer took
    log_entry log[max_log];
    uint32_t log_count = 0;
    delivered_record delivered[2 * max_log];
    uint32_t delivered_count = 0;
    activity activities[max_activities];
    uint32_t activity_count = 0;
    operation deferred[max_deferred];
    uint32_t deferred_count = 0;
    uint32_t deferred_run = 0;
    uint64_t attempted_seen[cpus][max_record_types] = {};
    bool asleep = false;       // the consumer
    uint32_t signalled = 0;    // its sticky event
  };
  static_assert(std::is_trivially_copyable_v<machine>);

  explicit world(uint32_t start_position = 0);
  ~world();
  world(const world&) = delete;
  world& operator=(const world&) = delete;

  // Everything as it was when it was saved last; saves nest by their slot (a stepper's depth).
  void save(uint32_t slot);
  void restore(uint32_t slot);

  // An operation for stepped code (tests/instruction/stepped.h).
  activity& prepare(const operation& asked);
  // Runs it now, or, if the section of its CPU is held, at the section's end. Returns its log entry; ~0u: put off.
  uint32_t produce(const operation& asked);
  // Reserves only: the record is not filled. For a CPU whose section is free.
  activity& reserve(const operation& asked);
  // Reserves and fills: the record stays open until close().
  activity& hold(const operation& asked);
  void close(activity& holder);
  // The producer at work on it will never go on: what its header says is what became of it.
  void bury(activity& dead);

  // One pass of the consumer. What it must emit (M3) is worked out from the headers first, by a plain search.
  pass_result pass(bool release);
  bool deliver(const record_view<native_seam>& seen);

  // R1 to R6, at any instruction. tests/instruction/invariants.cpp
  void inspect();
  // At rest: everything closed, everything delivered, once, in order; every account exact.
  void finish();
  // M2, R4: what was delivered is what the log holds, per CPU and in its order; an open record is not in it.
  void check_stream();

  // The log. tests/instruction/log.cpp
  log_entry& entry(const activity& of) { return now().log[of.entry]; }
  bool is_open(const activity& of) { return of.entry != ~0u && entry(of).result == outcome::ok && entry(of).end == fate::open; }
  bool in_section(uint32_t index) const { return now().section[now().log[index].asked.cpu] == index + 1; }
  uint32_t end_of(uint32_t cpu, uint32_t lane, uint32_t before) const;  // of all records of entries < before
  uint32_t position_of(uint32_t index, uint32_t lane) const;            // of an entry in its section: where it must go
  bool in_gap_before(uint32_t index, uint32_t dropped) const;
  uint32_t expected_loss_length(uint32_t cpu, uint32_t before) const;
  void check_loss(const uint8_t* payload, uint32_t length, uint32_t before);
  void check_room(const log_entry& of);
  uint32_t find(uint32_t ring, uint32_t position, bool& is_loss) const;  // index of the entry; ~0u: none
  bool intact(const uint8_t* payload, uint32_t index) const;
  const record_header& header(uint32_t ring, uint32_t position) const;
  uint32_t published(uint32_t ring) const { return views[ring].producer->published.load(memory_order::acquire); }
  uint32_t consumed(uint32_t ring) const { return views[ring].consumer->consumed.load(memory_order::acquire); }
  machine& now() { return *state_; }
  const machine& now() const { return *state_; }

  // Keeps the first failure, with where(): what the test set.
  void fail(const char* what, uint64_t got = 0, uint64_t wanted = 0);
  void check(bool holds, const char* what, uint64_t got = 0, uint64_t wanted = 0) {
    if (!holds) fail(what, got, wanted);
  }
  bool failed() const { return !failure_.empty(); }
  const std::string& failure() const { return failure_; }

  region_view<native_seam> views[rings];
  wake_line<native_seam> wake;
  std::string where;            // path and sizes
  const char* doing = "";       // what intervenes
  const uint64_t* boundary = nullptr;
  bool hostile = false;         // the consumer's word may be anything: what was not given back still holds
  uint32_t states_seen = 0;     // bit n: the record in progress was visible in state n; bit 0: not visible yet

 private:
  struct snapshot;
  void expect_emission(uint64_t bound);
  void inspect_ring(uint32_t ring);
  void inspect_account(uint32_t cpu);
  void inspect_figures(uint32_t cpu);
  void check_record(uint32_t ring, uint32_t index, bool loss, uint64_t& last_time);

  uint8_t* memory_;
  machine* state_;
  snapshot* snapshots_;
  std::string failure_;
  delivered_record expected_[2 * max_log];
  uint32_t expected_count_ = 0;
  uint32_t expected_next_ = 0;
  bool expecting_ = false;
};

const uint8_t* payload_of(uint32_t value);

}  // namespace sluice::instruction
