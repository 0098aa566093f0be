// The consumer's side of one ring: looks at the record at its cursor, takes it, and gives the room back.
//
//        consumed (published)     set aside        cursor          published
//            |                        |               |                |
//   ---------+------------------------+---------------+----------------+------
//            | taken, or set aside while still open   | not looked at  |
//
// One consumer thread at a time. In a client the region was made by the kernel: lengths and states are checked all the
// same, and a ring that contradicts itself is `damaged`, for good.
//
// A head that has been open for too long can be set aside (bounded order, or the overdue limit of strict order): the
// cursor goes past it, the room stays taken, and the record is delivered, late, when it is closed.
//
// Times are the counter's. The reader numbers the clock epochs of its ring (pipeline/epoch.h): a record that is older than
// its ring allows, by more than a step, begins the next one. What belongs to a later epoch than the stream is in shows as
// `later_epoch` until the stream gets there.
//
// An overwriting ring does not wait for its reader: headers and records are copied, and looked at only if the producer had not
// come past them by then (pipeline/tail.h). A reader that was overtaken goes on at the oldest record that is left; in front of
// it stands head_state::missed, a LOSS record that the reader makes.
//
// Freestanding. IRQL: that of the memory.
#pragma once

#include "pipeline/ledger.h"
#include "pipeline/order.h"
#include "pipeline/record_view.h"
#include "pipeline/region.h"
#include "pipeline/tail.h"

namespace sluice {

template <class seam>
class ring_reader {
 public:
  static constexpr uint32_t max_set_aside = 64;
  static constexpr uint32_t prefetch_distance = 256;
  static constexpr uint64_t never = ~uint64_t{0};
  static constexpr uint32_t max_overtaken = 16;  // in one look

  // `copy`: for an overwriting ring, memory for the longest record and the longest LOSS record, aligned to 8 bytes; readers
  // of one thread may share it.
  void attach(const region_view<seam>& view, typename seam::memory copy = {}) {
    data_ = view.data;
    producer_ = view.producer;
    consumer_ = view.consumer;
    mask_ = view.geometry.capacity - 1;
    capacity_ = view.geometry.capacity;
    max_record_ = view.geometry.max_record;
    cpu_ = view.cpu;
    lane_ = view.lane;
    cursor_ = released_ = view.start_position;
    published_ = view.start_position;
    overwrites_ = view.mode == ring_mode::overwrite;
    copy_ = copy;
    tail_.attach(view.producer->tail);
  }

  // A clock that goes back by more ticks than that begins an epoch; 0: the clock is taken not to.
  void expect_steps_back(uint64_t step_back) { step_back_ = step_back; }

  // Goes on at `position`, which begins a record: what this reader had taken or set aside is nobody's now. Where it goes back, what
  // comes is older than what it saw last; otherwise a step of the clock is still judged by that. Not for overwriting rings.
  void resume(uint64_t position) {
    if (position < cursor_) last_time_ = proven_ = 0;
    cursor_ = released_ = position;
    published_ = static_cast<uint32_t>(position);
    set_aside_count_ = 0;
  }

  // The record at the cursor, as the first look of a pass: only a position read after the pass's barrier may prove the
  // ring empty.
  ring_head look() {
    position_is_of_this_pass_ = false;
    return look_again();
  }

  // The record at the cursor, later in the same pass. The position is read at most once in a pass: a reader that follows
  // its producer record by record only fights for the line that is being written.
  ring_head look_again() {
    if (overwrites_) [[unlikely]] return look_overwriting();
    ring_head head;
    if (is_at_end()) {
      if (damaged_) [[unlikely]] head.state = head_state::damaged;
      return head;
    }
    // The bound is taken before the state is read: it is this reader's own, the last time it took from this ring.
    head.time = last_time_;
    read_head(cursor_, published_, head);
    if (head.time < last_time_ || head.time < proven_) [[unlikely]] judge_step_back(head);
    if (ahead_) [[unlikely]] head = hidden(head);
    // With many rings no hardware follows each of them. What is not published yet stays with its producer.
    if (published_ - static_cast<uint32_t>(cursor_) > prefetch_distance) {
      data_.prefetch(static_cast<uint32_t>(cursor_ + prefetch_distance) & mask_);
    }
    return head;
  }

  // The record that `look` just showed, where it stands. Of an overwriting ring only what is open stays as it is.
  record_view<seam> view(const ring_head& head) const {
    return {data_, static_cast<uint32_t>(cursor_) & mask_, head.length, cursor_, head.time, cpu_, lane_, false};
  }

  // The record that `look` just showed as committed or missed, for a sink. False: the producer has overtaken it, look again.
  [[nodiscard]] SLUICE_ALWAYS_INLINE bool fetch(const ring_head& head, record_view<seam>& record) {
    record = view(head);
    if (!overwrites_) [[likely]] return true;
    // A copy's address goes to the function, not the record's: so the caller's stays in registers.
    record_view<seam> copied = record;
    const bool whole = fetch_overwriting(head, copied);
    record = copied;
    return whole;
  }

  // Past what `look` just showed as committed, discarded or missed.
  void take(const ring_head& head) {
    if (overwrites_) [[unlikely]] {
      if (head.state == head_state::missed) return tail_.announced();
      if (head.state == head_state::committed) tail_.take(head.type);
    }
    cursor_ += record_stride(head.length);
    last_time_ = head.time;
  }

  // Past the stamped record that `look` just showed; it stays open. `offset` is added to its time when it comes.
  bool can_set_aside() const { return set_aside_count_ < max_set_aside; }
  void set_aside(const ring_head& head, uint64_t offset = 0) {
    set_aside_[set_aside_count_++] = {cursor_, offset, head.length, head.type};
    take(head);
  }
  uint32_t set_aside_count() const { return set_aside_count_; }

  // Offers each record that was set aside and is closed now to `sink(record_view) -> bool`; one that the sink refuses
  // stays. What was overwritten is missed, and announced with the next head.
  struct late_records {
    uint32_t accepted = 0;
    uint32_t discarded = 0;
  };
  template <class sink>
  SLUICE_RARE late_records take_late(sink&& accept) {
    late_records found;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < set_aside_count_; ++i) {
      const aside each = set_aside_[i];
      ring_head head;
      record_view<seam> record;
      if (!fetch_aside(each, head, record)) {
        tail_.miss_one(each.position, each.type, record_stride(each.length));
        continue;
      }
      bool done = head.state == head_state::discarded;
      if (done) ++found.discarded;
      if (head.state == head_state::committed) {
        done = accept(record);
        if (done) ++found.accepted;
        if (done && overwrites_) tail_.take(head.type);
      }
      if (!done) set_aside_[kept++] = each;
    }
    set_aside_count_ = kept;
    return found;
  }

  // Gives back the room of all that was taken, up to the oldest record set aside.
  void release() {
    const uint64_t position = set_aside_count_ != 0 ? set_aside_[0].position : cursor_;
    if (position == released_) return;
    released_ = position;
    // SYNC POINT release_consumed -> observe_consumed
    consumer_->consumed.store(static_cast<uint32_t>(position), order::release_consumed);
  }

  // The ring was empty after T of a pass, which was of `epoch`: what it still gets is no older than `bound` in that epoch.
  void prove_empty(uint32_t epoch, uint64_t bound) {
    if (epoch > epoch_) {
      enter_own(epoch, bound);
    } else if (epoch == epoch_ && bound > proven_) {
      proven_ = bound;
    }
  }

  // The epoch of what comes next out of this ring, and what none of it is older than.
  uint32_t epoch() const { return epoch_; }
  uint64_t bound() const { return last_time_; }

  // A ring that nobody has written to before the stream was in `epoch`.
  void join(uint32_t epoch) { epoch_ = stream_epoch_ = epoch; }

  // The stream is in `epoch` now: what belongs to it can be seen.
  void enter(uint32_t epoch) {
    stream_epoch_ = epoch;
    ahead_ = epoch_ > epoch;
  }

  // Walks the records from `begin` to `end` (positions of the producer's, mod 2^32, none of it reclaimed meanwhile)
  // without taking them: visit(type, head), or visit(type, head, payload). False: the ring is damaged. An overwriting ring must
  // be at rest.
  template <class visitor>
  [[nodiscard]] bool walk(uint32_t begin, uint32_t end, visitor&& visit) {
    for (uint32_t position = begin; position != end;) {
      ring_head head;
      read_head(position, end, head);
      if (head.state == head_state::damaged) return false;
      const size_t offset = position & mask_;
      const uint16_t type = static_cast<uint16_t>(data_.load(offset + offsetof(record_header, type)) & 0xffff);
      if constexpr (requires { visit(type, head, data_.bytes(offset)); }) {
        visit(type, head, data_.bytes(offset + record_header_size));
      } else {
        visit(type, head);
      }
      position += record_stride(head.length);
    }
    return true;
  }

  loss_figures<seam>& loss() { return producer_->loss; }
  uint16_t cpu() const { return cpu_; }
  uint8_t lane() const { return lane_; }
  uint64_t cursor() const { return cursor_; }
  // Up to here room was given back.
  uint64_t released() const { return released_; }
  bool damaged() const { return damaged_; }
  // Events that LOSS records of this reader's told of as overwritten.
  uint64_t missed_events() const { return tail_.announced_events(); }

 private:
  void enter_own(uint32_t epoch, uint64_t bound) {
    epoch_ = epoch;
    last_time_ = proven_ = bound;
    ahead_ = epoch_ > stream_epoch_;
  }

  // The head is older than what came before it, or than what its ring was proven empty by. By a step: an epoch begins with
  // it. By less: the margin was too short (or the clock went back by less), and the record comes late.
  SLUICE_RARE void judge_step_back(ring_head head) {
    if (step_back_ == 0 || head.state == head_state::reserved || head.state == head_state::damaged) return;
    const uint64_t floor = last_time_ > proven_ ? last_time_ : proven_;
    if (floor - head.time > step_back_) enter_own(epoch_ + 1, head.time);
  }

  SLUICE_RARE static ring_head hidden(ring_head head) {
    if (head.state == head_state::damaged) return head;
    head.state = head_state::later_epoch;
    head.time = never;
    return head;
  }

  struct aside {
    uint64_t position;
    uint64_t offset;  // added to its time when it comes
    uint32_t length;
    uint16_t type;
  };

  // Whether nothing is published behind the cursor. The position is read at most once in a pass.
  bool is_at_end() {
    if (static_cast<uint32_t>(cursor_) != published_) return false;
    if (!position_is_of_this_pass_) read_position();
    return static_cast<uint32_t>(cursor_) == published_;
  }
  void read_position() {
    position_is_of_this_pass_ = true;
    published_ = producer_->published.load(order::observe_published);  // SYNC POINT observe_published <- publish
  }

  void read_head(uint64_t position, uint32_t end, ring_head& head) {
    const uint32_t offset = static_cast<uint32_t>(position) & mask_;
    // SYNC POINT observe_state <- stamp, close
    const uint32_t state_and_length = data_.state(offset).load(order::observe_state);
    check_head(state_and_length, end - static_cast<uint32_t>(position), head);
    // The time was written before `stamped` or `committed` was.
    if (head.state != head_state::reserved && head.state != head_state::damaged) {
      head.time = data_.load_time(offset + offsetof(record_header, time_low));
    }
  }

  // What a header's first word says; `room` bytes are published from there on.
  SLUICE_ALWAYS_INLINE void check_head(uint32_t state_and_length, uint32_t room, ring_head& head) {
    const uint32_t length = length_of(state_and_length);
    const record_state state = state_of(state_and_length);
    if (damaged_ || state == record_state::none || state > record_state::discarded || length < record_header_size ||
        length > max_record_ || record_stride(length) > room || room > capacity_) {
      damaged_ = true;
      head.state = head_state::damaged;
      return;
    }
    head.length = length;
    head.state = state == record_state::reserved    ? head_state::reserved
                 : state == record_state::stamped   ? head_state::stamped
                 : state == record_state::committed ? head_state::committed
                                                    : head_state::discarded;
  }

  // A record that was set aside, copied if it is committed in an overwriting ring. False: overtaken.
  bool fetch_aside(const aside& which, ring_head& head, record_view<seam>& record) {
    const uint32_t offset = static_cast<uint32_t>(which.position) & mask_;
    if (!overwrites_) {
      read_head(which.position, published_, head);
    } else if (!read_head_overwriting(which.position, head)) {
      return false;
    }
    record = {data_, offset, head.length, which.position, head.time + which.offset, cpu_, lane_, true};
    return !overwrites_ || head.state != head_state::committed || copy_record(record);
  }

  // The head of an overwriting ring. A producer that moves its tail faster than this reader reads it leaves a head without a
  // time: the pass ends there, and the next one tries again.
  SLUICE_NEVER_INLINE ring_head look_overwriting() {
    ring_head head;
    for (uint32_t attempt = 0; attempt < max_overtaken; ++attempt) {
      head.time = last_time_;
      if (!is_at_end()) {
        if (read_head_overwriting(cursor_, head)) return behind_gap(head);
      } else if (!tail_.is_past(cursor_)) {
        if (tail_.has_lone_gap()) {
          head.state = head_state::missed;  // no record may ever follow
          if (ahead_) [[unlikely]] head = hidden(head);
        }
        if (damaged_) head.state = head_state::damaged;
        return head;
      }
      const uint64_t before = cursor_;
      if (!tail_.catch_up(cursor_)) break;
      if (cursor_ != before) set_aside_count_ = 0;  // before the tail: in the gap
      read_position();  // behind the tail: so it is no older, and at most a lap lies between
    }
    head = {};
    head.state = head_state::reserved;
    head.time = last_time_;
    return head;
  }

  // What was missed is announced in front of the first record that is left, with its time.
  ring_head behind_gap(ring_head head) {
    if (head.time < last_time_ || head.time < proven_) [[unlikely]] judge_step_back(head);
    if (head.state != head_state::reserved && head.state != head_state::damaged && tail_.has_gap()) {
      head.state = head_state::missed;
    }
    if (ahead_) [[unlikely]] head = hidden(head);
    return head;
  }

  // False: overtaken. Nothing of the copy is looked at before that is known.
  bool read_head_overwriting(uint64_t position, ring_head& head) {
    const uint32_t offset = static_cast<uint32_t>(position) & mask_;
    data_.copy_out(offset, copy_, 0, offsetof(record_header, time_low));
    // SYNC POINT fence_copy <- stamp, close: the time was written before the state that was just copied.
    seam::fence(order::fence_copy);
    data_.copy_out(offset, copy_, offsetof(record_header, time_low), record_header_size);
    if (tail_.is_past(position)) return false;
    check_head(copy_.load(0), published_ - static_cast<uint32_t>(position), head);
    if (head.state == head_state::damaged) return true;
    head.type = static_cast<uint16_t>(copy_.load(offsetof(record_header, type)) & 0xffff);
    if (head.type >= seam::types) {
      damaged_ = true;
      head.state = head_state::damaged;
    } else if (head.state != head_state::reserved) {
      head.time = copy_.load_time(offsetof(record_header, time_low));
    }
    return true;
  }

  SLUICE_NEVER_INLINE bool fetch_overwriting(const ring_head& head, record_view<seam>& record) {
    if (head.state != head_state::missed) return copy_record(record);
    record.data = copy_;
    record.offset = 0;
    record.length = tail_.write_loss(copy_, last_time_ != 0 ? last_time_ : head.time, head.time);
    record.position = tail_.gap_position();
    record.overwritten = true;
    return true;
  }

  // False: overtaken.
  bool copy_record(record_view<seam>& record) {
    data_.copy_out(record.offset, copy_, 0, record_stride(record.length));
    record.data = copy_;
    record.offset = 0;
    return !tail_.is_past(record.position);
  }

  // What each record needs, in 64 bytes: with many rings, one line of the cache each, or two.
  typename seam::memory data_;
  producer_page<seam>* producer_ = nullptr;
  uint64_t cursor_ = 0;     // 64-bit extension of the position: a record's identity
  uint64_t last_time_ = 0;  // of the last record taken; at the beginning of an epoch, what began it
  uint64_t proven_ = 0;     // of the same epoch: the ring was empty, and what comes is no older
  uint32_t published_ = 0;  // last position read
  uint32_t mask_ = 0;
  uint32_t capacity_ = 0;
  uint32_t max_record_ = 0;
  uint16_t cpu_ = 0;
  uint8_t lane_ = 0;
  bool damaged_ = false;
  bool position_is_of_this_pass_ = false;
  bool ahead_ = false;  // epoch_ > stream_epoch_
  bool overwrites_ = false;

  // What a pass needs, or what is rare.
  consumer_page<seam>* consumer_ = nullptr;
  uint64_t released_ = 0;
  uint32_t set_aside_count_ = 0;
  uint32_t epoch_ = 0;         // of what stands at the cursor and behind it
  uint32_t stream_epoch_ = 0;  // what the merge is in
  uint64_t step_back_ = 0;
  aside set_aside_[max_set_aside] = {};  // by rising position
  typename seam::memory copy_;
  tail_watch<seam> tail_;
};

}  // namespace sluice
