// The merge: one stream, ordered by (time, cpu, lane, position), out of many rings. No heartbeat: an idle ring costs its
// CPU nothing.
//
// A pass takes T (pipeline/barrier.h), then looks at every ring. Each ring gets a key:
//   empty                 T - 1 tick: nothing of it can be older (one tick: clocks may differ by that between CPUs)
//   head reserved         the last time taken from this ring: its time will be no less
//   head stamped, closed  its time
//   missed                the time of the record behind the gap (overwriting rings: a LOSS record goes first)
// Where rings can still be added, one more takes part that is always empty: what comes in the middle of a pass is younger than its T.
// Then: take the ring with the smallest (key, cpu, lane). If its first record is committed, emit it; discarded, skip it;
// look at that ring again, and go on. Otherwise stop: that is the frontier.
//
// Where the clock may step back, keys compare within a clock epoch, and epochs come one after another (pipeline/epoch.h).
//
// Invariants
//   M1  strict order: records are emitted in (epoch, time, cpu, lane, position); an exception is marked late and counted (slack
//       order whose margin was too short; a record that was set aside).
//   M2  every committed record is emitted exactly once, or counted as overwritten in a LOSS record (pipeline/tail.h).
//   M3  a committed record is emitted by the first pass that starts after every older reservation is closed and, with
//       idle rings, or with rings that can still be added, after T has passed its time: nothing else holds it back.
//
// One consumer thread. Memory comes from the caller. Freestanding. IRQL: that of the memory.
#pragma once

#include "pipeline/barrier.h"
#include "pipeline/epoch.h"
#include "pipeline/ring_reader.h"
#include "pipeline/tournament.h"

namespace sluice {

// Why a pass ended.
enum class pass_end : uint32_t {
  idle_bound,  // the smallest key is an empty ring's T - 1
  reserved,    // the smallest key is a head without a time
  stamped,     // the smallest key is a head that its producer is still filling
  sink_full,   // the sink took no more
  damaged,     // a ring contradicts itself: ring_reader::damaged
};

struct pass_result {
  pass_end end = pass_end::idle_bound;
  uint32_t emitted = 0;         // records the sink accepted, late ones included
  uint32_t ring = 0;            // the one that ended the pass; idle_bound: or the number of rings, if it was those that can still come
  bool closed_pending = false;  // some ring's head is closed: the consumer may not sleep, unless stopped by `stamped`
  uint64_t open_time = 0;       // of the oldest head that is stamped, whatever ended the pass; 0: none. Of the clock's
                                // epoch: a head of an earlier one counts from when that was found to be over

  // Whether the consumer may sleep after this pass, if it had announced so before it.
  bool may_sleep() const { return end == pass_end::stamped || (end == pass_end::idle_bound && !closed_pending); }
};

struct merge_options {
  uint64_t set_aside_after = 0;  // ticks a stamped head may hold the stream back; 0: for ever (strict)
  uint64_t step_back = 0;        // ticks; a clock that goes back by more begins an epoch; 0: it is taken not to. Twice the
                                // margin of slack order, or more
  uint32_t most_rings = 0;      // that there can be, where rings are added; 0: those that are attached
};

template <class seam, class clock, class order_policy>
class merge {
 public:
  using reader = ring_reader<seam>;

  merge(clock source, order_policy policy) : clock_(source), order_(policy) {}

  // `readers` in the order of (cpu, lane). `heads` has `count` elements, `nodes` tournament_nodes(count); where rings can be added,
  // as many as there can be.
  void attach(reader* readers, ring_head* heads, tournament_node* nodes, uint32_t count, const merge_options& options = {}) {
    readers_ = readers;
    heads_ = heads;
    count_ = count;
    options_ = options;
    tree_.attach(nodes, leaves());
    for (uint32_t i = 0; i < count; ++i) readers_[i].expect_steps_back(options.step_back);
  }

  // The stream is in `epoch` already, its times are counter + offset, and the readers hold nothing older. Before the first pass.
  void start_in(uint32_t epoch, uint64_t offset) {
    epoch_ = seen_epoch_ = epoch;
    offset_ = offset;
    for (uint32_t i = 0; i < count_; ++i) readers_[i].join(epoch);
  }

  // One pass. `sink(record_view) -> bool`: false means that it took nothing and the pass ends; the record stays. If the
  // sink has a member set_aside(record_view), it is told of each open record that no longer holds the stream back; if it
  // has begin_epoch(epoch_start) -> bool, of each clock epoch. If it has ring_count() -> uint32_t, it is asked how many
  // readers are attached by now: rings can be added, behind those that are there.
  template <class sink>
  pass_result pass(sink&& accept) {
    pass_result result;
    const uint64_t bound = order_.take_bound(clock_);
    idle_key_ = bound == 0 ? 0 : bound - 1;
    follow_clock(bound);
    take_new_rings(accept);
    if (!take_late(accept, result)) return finish(result, pass_end::sink_full, 0);
    for (uint32_t i = 0; i < count_; ++i) {
      heads_[i] = readers_[i].look();
      tree_.set(i, key_of(i));
    }
    bound_new_rings();
    tree_.rebuild();
    for (uint32_t last = count_;;) {
      const uint32_t i = tree_.winner().leaf;
      switch (heads_[i].state) {
        case head_state::committed:
        case head_state::discarded:
        case head_state::missed:
          // The second time in a row that a ring wins, it likely goes on winning: then a batch.
          if (!(i == last ? take_run(i, accept, result) : take_one(i, accept, result))) {
            return finish(result, pass_end::sink_full, i);
          }
          last = i;
          break;
        case head_state::stamped:
          if (!overdue(heads_[i], bound) || !readers_[i].can_set_aside()) return finish(result, pass_end::stamped, i);
          if constexpr (requires { accept.set_aside(readers_[i].view(heads_[i])); }) {
            record_view<seam> open = readers_[i].view(heads_[i]);
            open.time += offset_;
            accept.set_aside(open);
          }
          if (heads_[i].time > end_of_epoch_) end_of_epoch_ = heads_[i].time;
          readers_[i].set_aside(heads_[i], offset_);
          ++set_aside_;
          heads_[i] = readers_[i].look_again();
          break;
        case head_state::empty:
          if (idle_key_ != tournament::never) return finish(result, pass_end::idle_bound, i);
          [[fallthrough]];
        case head_state::later_epoch:
          // The smallest key is `never`: no ring holds anything of this epoch, nor will.
          if (!begin_epoch(accept)) return finish(result, pass_end::sink_full, i);
          last = count_;
          continue;
        case head_state::reserved: return finish(result, pass_end::reserved, i);
        case head_state::damaged: return finish(result, pass_end::damaged, i);
      }
      tree_.replace_winner(key_of(i));
    }
  }

  // Gives the room of everything emitted back to the producers.
  void release() {
    for (uint32_t i = 0; i < count_; ++i) readers_[i].release();
  }

  uint64_t late_records() const { return late_; }
  uint64_t set_aside_records() const { return set_aside_; }
  uint64_t discarded_records() const { return discarded_; }
  // The epoch that the stream is in, and what is added to a counter of it to get the stream's time.
  uint32_t epoch() const { return epoch_; }
  uint64_t offset() const { return offset_; }
  // Whether the counter, which reads `now`, is of the stream's epoch, as far as is known.
  bool counts(uint64_t now) const {
    return bounds_.epoch() == epoch_ && (now >= bounds_.last() || bounds_.last() - now <= options_.step_back);
  }
  // Events that LOSS records told of as overwritten.
  uint64_t missed_events() const {
    uint64_t events = 0;
    for (uint32_t i = 0; i < count_; ++i) events += readers_[i].missed_events();
    return events;
  }
  clock& source() { return clock_; }
  order_policy& policy() { return order_; }
  reader& ring(uint32_t index) { return readers_[index]; }
  uint32_t ring_count() const { return count_; }

 private:
  uint64_t key_of(uint32_t i) {
    const ring_head& head = heads_[i];
    if (head.state == head_state::empty) readers_[i].prove_empty(bounds_.epoch(), idle_bound_);
    return head.state == head_state::empty ? idle_key_ : head.time;
  }

  // After T: what a CPU that was added writes before T is in a ring that is known here, as what any CPU wrote before T can be
  // seen. The memory given to attach() holds the largest number.
  template <class sink>
  void take_new_rings(sink& accept) {
    if constexpr (requires { accept.ring_count(); }) {
      const uint32_t count = accept.ring_count();
      if (count == count_) [[likely]] return;
      for (; count_ < count; ++count_) {
        readers_[count_].expect_steps_back(options_.step_back);
        readers_[count_].join(epoch_);
      }
      tree_.attach(tree_.nodes(), leaves());
    }
  }
  bool can_grow() const { return count_ < options_.most_rings; }
  uint32_t leaves() const { return count_ + (can_grow() ? 1 : 0); }
  void bound_new_rings() {
    if (!can_grow()) return;
    heads_[count_] = {};  // empty
    tree_.set(count_, idle_key_);
  }

  // The epoch of this pass's T. An idle ring is bounded by T - 1 tick only while the stream is in that epoch too.
  void follow_clock(uint64_t bound) {
    idle_bound_ = idle_key_;
    bounds_.follow(bound, seen_epoch_, options_.step_back);
    set_idle_key();
  }
  void set_idle_key() {
    if (bounds_.epoch() == epoch_) [[likely]] {
      idle_key_ = idle_bound_;
    } else {
      idle_key_ = bounds_.epoch() > epoch_ ? tournament::never : 0;
    }
  }

  // Every ring has reached a later epoch. False: the sink takes no news; nothing has changed then.
  template <class sink>
  SLUICE_RARE bool begin_epoch(sink& accept) {
    epoch_start next{~0u, tournament::never, 0};
    for (uint32_t i = 0; i < count_; ++i) {
      const reader& from = readers_[i];
      if (from.epoch() > next.epoch) continue;
      if (from.epoch() < next.epoch) next = {from.epoch(), tournament::never, 0};
      if (from.bound() < next.first) next.first = from.bound();
    }
    next.time = (last_.key > end_of_epoch_ ? last_.key : end_of_epoch_) + offset_ + 1;
    if constexpr (requires { accept.begin_epoch(next); }) {
      if (!accept.begin_epoch(next)) return false;
    }
    epoch_ = next.epoch;
    if (seen_epoch_ < epoch_) seen_epoch_ = epoch_;
    offset_ = next.offset();
    last_ = {next.first, 0};
    end_of_epoch_ = 0;
    set_idle_key();
    for (uint32_t i = 0; i < count_; ++i) {
      readers_[i].enter(epoch_);
      heads_[i] = readers_[i].look_again();
      tree_.set(i, key_of(i));
    }
    bound_new_rings();
    tree_.rebuild();
    return true;
  }

  // Set aside only what is older than the limit by the pass's own bound: no second clock read. The age of what an epoch
  // before the clock's has left open is counted from that epoch's end.
  bool overdue(const ring_head& head, uint64_t bound) const {
    if (bounds_.epoch() < epoch_) return false;
    const uint64_t since = bounds_.epoch() == epoch_ ? head.time : bounds_.first();
    return options_.set_aside_after != 0 && bound > since && bound - since > options_.set_aside_after;
  }

  // Takes the closed head of ring i, and looks at the next. False: the sink is full.
  template <class sink>
  SLUICE_ALWAYS_INLINE bool take_one(uint32_t i, sink& accept, pass_result& result) {
    reader& from = readers_[i];
    ring_head& head = heads_[i];
    if (head.state != head_state::discarded) {
      record_view<seam> record;
      if (!from.fetch(head, record)) [[unlikely]] {
        head = from.look_again();
        return true;
      }
      record.time += offset_;
      const tournament_node place{head.time, i};
      record.late = tournament::before(place, last_);
      if (!accept(record)) return false;
      if (record.late) {
        ++late_;
      } else {
        last_ = place;
      }
      ++result.emitted;
    } else {
      ++discarded_;
    }
    from.take(head);
    head = from.look_again();
    return true;
  }

  // Takes records of ring i for as long as its head is closed and the smallest. False: the sink is full.
  template <class sink>
  bool take_run(uint32_t i, sink& accept, pass_result& result) {
    const tournament_node runner_up = tree_.runner_up();
    const ring_head& head = heads_[i];
    do {
      if (!take_one(i, accept, result)) return false;
    } while (is_final(head.state) &&
             tournament::before({head.time, i}, runner_up));
    return true;
  }

  template <class sink>
  bool take_late(sink& accept, pass_result& result) {
    bool full = false;
    for (uint32_t i = 0; i < count_; ++i) {
      if (readers_[i].set_aside_count() == 0) continue;
      const auto found = readers_[i].take_late([&](const record_view<seam>& record) {
        const bool accepted = accept(record);
        full |= !accepted;
        return accepted;
      });
      late_ += found.accepted;
      discarded_ += found.discarded;
      result.emitted += found.accepted;
    }
    return !full;
  }

  SLUICE_NEVER_INLINE pass_result finish(pass_result& result, pass_end end, uint32_t ring) {
    result.end = end;
    result.ring = ring;
    const bool follows_steps = options_.step_back != 0 && bounds_.epoch() == epoch_;
    for (uint32_t i = 0; i < count_; ++i) {
      const ring_head& head = heads_[i];
      result.closed_pending |= is_final(head.state);
      if (head.state == head_state::later_epoch) {
        result.closed_pending = true;
        if (readers_[i].epoch() > seen_epoch_) seen_epoch_ = readers_[i].epoch();
      } else if (follows_steps && head.state != head_state::empty && head.state != head_state::damaged) {
        bounds_.saw(head.time);  // of a reserved head: its bound
      }
      if (head.state == head_state::stamped && (result.open_time == 0 || head.time < result.open_time)) {
        result.open_time = head.time;
      }
    }
    if (result.open_time != 0 && bounds_.epoch() > epoch_) result.open_time = bounds_.first();
    return result;
  }

  reader* readers_ = nullptr;
  ring_head* heads_ = nullptr;
  uint32_t count_ = 0;
  merge_options options_;
  tournament tree_;
  uint64_t idle_key_ = 0;
  uint64_t idle_bound_ = 0;  // T - 1 of this pass, whatever the epoch
  tournament_node last_{0, 0};  // (counter, ring) of the last record emitted in order, in this epoch
  uint32_t epoch_ = 0;          // what the stream is in
  uint32_t seen_epoch_ = 0;     // the latest that a ring has shown
  uint64_t offset_ = 0;         // stream time - counter
  uint64_t end_of_epoch_ = 0;   // the youngest record of it that was set aside
  bound_epochs bounds_;
  uint64_t late_ = 0;
  uint64_t set_aside_ = 0;
  uint64_t discarded_ = 0;
  clock clock_;
  order_policy order_;
};

}  // namespace sluice
