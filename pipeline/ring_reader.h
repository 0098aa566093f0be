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
// Freestanding. IRQL: that of the memory.
#pragma once

#include "pipeline/ledger.h"
#include "pipeline/order.h"
#include "pipeline/region.h"

namespace sluice {

enum class head_state : uint32_t { empty, reserved, stamped, committed, discarded, damaged, later_epoch };

// The first record of a ring, as far as it is known.
struct ring_head {
  head_state state = head_state::empty;
  uint32_t length = 0;
  uint64_t time = 0;  // stamped, committed, discarded: its own. reserved: the bound of pipeline/merge.h. later_epoch: never
};

// A record handed to a sink; points into the ring, valid during the call.
template <class seam>
struct record_view {
  typename seam::memory data;
  uint32_t offset;
  uint32_t length;    // header included
  uint64_t position;  // 64-bit extension
  uint64_t time;      // of the stream: the record's own until the clock has stepped back for the first time
  uint16_t cpu;
  uint8_t lane;
  bool late;

  uint16_t type() const { return static_cast<uint16_t>(data.load(offset + offsetof(record_header, type)) & 0xffff); }
  const uint8_t* bytes() const { return data.bytes(offset); }
  const uint8_t* payload() const { return data.bytes(offset + record_header_size); }
  uint32_t payload_length() const { return length - record_header_size; }
};

template <class seam>
class ring_reader {
 public:
  static constexpr uint32_t max_set_aside = 64;
  static constexpr uint32_t prefetch_distance = 256;
  static constexpr uint64_t never = ~uint64_t{0};

  void attach(const region_view<seam>& view) {
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
  }

  // A clock that goes back by more ticks than that begins an epoch; 0: the clock is taken not to.
  void expect_steps_back(uint64_t step_back) { step_back_ = step_back; }

  // The record at the cursor, as the first look of a pass: only a position read after the pass's barrier may prove the
  // ring empty.
  ring_head look() {
    position_is_of_this_pass_ = false;
    return look_again();
  }

  // The record at the cursor, later in the same pass. The position is read at most once in a pass: a reader that follows
  // its producer record by record only fights for the line that is being written.
  ring_head look_again() {
    ring_head head;
    if (static_cast<uint32_t>(cursor_) == published_) {
      if (!position_is_of_this_pass_) {
        position_is_of_this_pass_ = true;
        published_ = producer_->published.load(order::observe_published);  // SYNC POINT observe_published <- publish
      }
      if (static_cast<uint32_t>(cursor_) == published_) {
        if (damaged_) [[unlikely]] head.state = head_state::damaged;
        return head;
      }
    }
    // The bound is taken before the state is read: it is this reader's own, the last time it took from this ring.
    head.time = last_time_;
    read_head(cursor_, published_, head);
    if (head.time < last_time_ || head.time < proven_) [[unlikely]] judge_step_back(head);
    if (ahead_) [[unlikely]] hide(head);
    // With many rings no hardware follows each of them. What is not published yet stays with its producer.
    if (published_ - static_cast<uint32_t>(cursor_) > prefetch_distance) {
      data_.prefetch(static_cast<uint32_t>(cursor_ + prefetch_distance) & mask_);
    }
    return head;
  }

  record_view<seam> view(const ring_head& head) const {
    return {data_, static_cast<uint32_t>(cursor_) & mask_, head.length, cursor_, head.time, cpu_, lane_, false};
  }

  // Past the record that `look` just showed as committed or discarded.
  void take(const ring_head& head) {
    cursor_ += record_stride(head.length);
    last_time_ = head.time;
  }

  // Past the stamped record that `look` just showed; it stays open. `offset` is added to its time when it comes.
  bool can_set_aside() const { return set_aside_count_ < max_set_aside; }
  void set_aside(const ring_head& head, uint64_t offset = 0) {
    set_aside_offset_[set_aside_count_] = offset;
    set_aside_[set_aside_count_++] = cursor_;
    take(head);
  }
  uint32_t set_aside_count() const { return set_aside_count_; }

  // Offers each record that was set aside and is closed now to `sink(record_view) -> bool`; one that the sink refuses
  // stays. Returns how many were accepted, discarded ones not counted.
  template <class sink>
  uint32_t take_late(sink&& accept) {
    uint32_t taken = 0;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < set_aside_count_; ++i) {
      ring_head head;
      read_head(set_aside_[i], published_, head);
      bool done = head.state == head_state::discarded;
      if (head.state == head_state::committed) {
        record_view<seam> record{data_,
                                 static_cast<uint32_t>(set_aside_[i]) & mask_,
                                 head.length,
                                 set_aside_[i],
                                 head.time + set_aside_offset_[i],
                                 cpu_,
                                 lane_,
                                 true};
        done = accept(record);
        if (done) ++taken;
      }
      set_aside_offset_[kept] = set_aside_offset_[i];
      if (!done) set_aside_[kept++] = set_aside_[i];
    }
    set_aside_count_ = kept;
    return taken;
  }

  // Gives back the room of all that was taken, up to the oldest record set aside.
  void release() {
    const uint64_t position = set_aside_count_ != 0 ? set_aside_[0] : cursor_;
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
  // without taking them: visit(type, head). False: the ring is damaged.
  template <class visitor>
  [[nodiscard]] bool walk(uint32_t begin, uint32_t end, visitor&& visit) {
    for (uint32_t position = begin; position != end;) {
      ring_head head;
      read_head(position, end, head);
      if (head.state == head_state::damaged) return false;
      visit(static_cast<uint16_t>(data_.load((position & mask_) + offsetof(record_header, type)) & 0xffff), head);
      position += record_stride(head.length);
    }
    return true;
  }

  loss_figures<seam>& loss() { return producer_->loss; }
  uint16_t cpu() const { return cpu_; }
  uint8_t lane() const { return lane_; }
  uint64_t cursor() const { return cursor_; }
  bool damaged() const { return damaged_; }

 private:
  void enter_own(uint32_t epoch, uint64_t bound) {
    epoch_ = epoch;
    last_time_ = proven_ = bound;
    ahead_ = epoch_ > stream_epoch_;
  }

  // The head is older than what came before it, or than what its ring was proven empty by. By a step: an epoch begins with
  // it. By less: the margin was too short (or the clock went back by less), and the record comes late.
  SLUICE_NEVER_INLINE void judge_step_back(const ring_head& head) {
    if (step_back_ == 0 || head.state == head_state::reserved || head.state == head_state::damaged) return;
    const uint64_t floor = last_time_ > proven_ ? last_time_ : proven_;
    if (floor - head.time > step_back_) enter_own(epoch_ + 1, head.time);
  }

  SLUICE_NEVER_INLINE static void hide(ring_head& head) {
    if (head.state == head_state::damaged) return;
    head.state = head_state::later_epoch;
    head.time = never;
  }

  void read_head(uint64_t position, uint32_t end, ring_head& head) {
    const uint32_t offset = static_cast<uint32_t>(position) & mask_;
    // SYNC POINT observe_state <- stamp, close
    const uint32_t state_and_length = data_.state(offset).load(order::observe_state);
    const uint32_t length = length_of(state_and_length);
    const uint32_t room = end - static_cast<uint32_t>(position);
    const record_state state = state_of(state_and_length);
    if (damaged_ || state == record_state::none || state > record_state::discarded || length < record_header_size ||
        length > max_record_ || record_stride(length) > room || room > capacity_) {
      damaged_ = true;
      head.state = head_state::damaged;
      return;
    }
    head.length = length;
    if (state == record_state::reserved) {
      head.state = head_state::reserved;
      return;
    }
    // The time was written before `stamped` or `committed` was.
    head.time = data_.load_time(offset + offsetof(record_header, time_low));
    head.state = state == record_state::stamped     ? head_state::stamped
                 : state == record_state::committed ? head_state::committed
                                                    : head_state::discarded;
  }

  typename seam::memory data_;
  producer_page<seam>* producer_ = nullptr;
  consumer_page<seam>* consumer_ = nullptr;
  uint64_t cursor_ = 0;     // 64-bit extension of the position: a record's identity
  uint64_t released_ = 0;
  uint64_t last_time_ = 0;  // of the last record taken; at the beginning of an epoch, what began it
  uint64_t proven_ = 0;     // of the same epoch: the ring was empty, and what comes is no older
  uint32_t published_ = 0;  // last position read
  uint32_t mask_ = 0;
  uint32_t capacity_ = 0;
  uint32_t max_record_ = 0;
  uint32_t set_aside_count_ = 0;
  uint32_t epoch_ = 0;         // of what stands at the cursor and behind it
  uint32_t stream_epoch_ = 0;  // what the merge is in
  uint64_t step_back_ = 0;
  uint64_t set_aside_[max_set_aside] = {};  // ascending
  uint64_t set_aside_offset_[max_set_aside] = {};
  uint16_t cpu_ = 0;
  uint8_t lane_ = 0;
  bool damaged_ = false;
  bool position_is_of_this_pass_ = false;
  bool ahead_ = false;  // epoch_ > stream_epoch_
};

}  // namespace sluice
