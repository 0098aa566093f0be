// The tail of an overwriting ring: where the oldest record begins that is left. The producer moves it past closed records to make
// room, whether anybody has read them or not; a reader copies a record, and then looks whether the tail has come past it.
//
//   producer, in its section (pipeline/ring.h)          reader (pipeline/ring_reader.h)
//   the oldest records: all closed                      header, or record -> a copy of its own
//   tail, and what it has passed, by type               fence
//   fence                                               tail: past the record? then the copy is worth nothing
//   header and payload of new records, in that room
//
// A reader that finds itself overtaken reads the figures as one, goes on at the tail, and announces what it missed: a LOSS record
// in front of the oldest record that is left. How many events of each type those were is exact: the figures count what was
// committed before the tail, and the reader knows what it has taken of that.
//
// Invariants
//   O1  the tail never passes an open record: nobody's record is overwritten while it is being filled.
//   O2  no byte before the tail is written again before the tail is published: a copy that may be torn is never delivered.
//       That is the C++ model's promise where the thread that reserved a record also fills it. A record that was handed to
//       another thread needs stores that become visible to all processors at once, as those of x86-64 and ARM64 do.
//   O3  delivered + announced as overwritten = committed, by type, of everything before the reader's cursor. In one case it is a
//       bound until the next gap makes it good: a record that the reader had set aside while it was open, and that was closed
//       and overwritten before it was delivered, is announced as an event although it may have been discarded.
//
// The tail is 64 bits wide: a reader may sleep while the ring takes any number of bytes. Freestanding; any IRQL.
#pragma once

#include "pipeline/loss.h"
#include "pipeline/order.h"
#include "pipeline/region.h"

namespace sluice {

// The producer's side: one move of the tail, in the section. Its own words are read back: nobody else writes them.
template <class seam>
class tail_move {
 public:
  explicit tail_move(tail_figures<seam>& figures)
      : figures_(figures), sequence_(figures.sequence.load(memory_order::relaxed)) {
    // Relaxed: odd becomes visible no later than the first word below, which is a release (SYNC POINT publish_tail).
    figures_.sequence.store(sequence_ + 1, memory_order::relaxed);
  }
  tail_move(const tail_move&) = delete;
  tail_move& operator=(const tail_move&) = delete;

  // A committed record is passed.
  void count(uint32_t type) {
    typename seam::word(&committed)[2] = figures_.committed[type];
    const uint32_t low = committed[0].load(memory_order::relaxed) + 1;
    committed[0].store(low, order::publish_tail);
    if (low == 0) committed[1].store(committed[1].load(memory_order::relaxed) + 1, order::publish_tail);
  }

  // All that makes room was counted: from here on it may be overwritten. `tail` is the new one, mod 2^32.
  void finish(uint32_t tail) {
    const uint32_t before = figures_.tail[0].load(memory_order::relaxed);
    const uint32_t high = figures_.tail[1].load(memory_order::relaxed);
    figures_.tail[1].store(tail < before ? high + 1 : high, order::publish_tail);
    figures_.tail[0].store(tail, order::publish_tail);
    figures_.sequence.store(sequence_ + 2, order::publish_tail);
    seam::fence(order::fence_tail);  // SYNC POINT fence_tail -> fence_copy
  }

 private:
  tail_figures<seam>& figures_;
  uint32_t sequence_;
};

// A reader's copy of the figures.
template <class seam>
struct tail_summary {
  uint64_t tail = 0;
  uint64_t committed[seam::types] = {};
};

// Reads the figures as one. False: the producer is moving the tail. Any thread.
template <class seam>
[[nodiscard]] bool read_tail_figures(tail_figures<seam>& figures, tail_summary<seam>& summary) {
  const auto observe64 = [](typename seam::word(&words)[2]) {
    const uint64_t low = words[0].load(order::observe_tail);
    return static_cast<uint64_t>(words[1].load(order::observe_tail)) << 32 | low;
  };
  const uint32_t before = figures.sequence.load(order::observe_tail);
  if (before & 1) return false;
  summary.tail = observe64(figures.tail);
  for (uint32_t type = 0; type < seam::types; ++type) summary.committed[type] = observe64(figures.committed[type]);
  // Relaxed: every load above is an acquire, so this one comes after them.
  return figures.sequence.load(memory_order::relaxed) == before;
}

// After a copy: whether the tail is past a position, so that the copy may be torn. While the low word wraps it may say yes too
// early, and the figures then tell how it is; it never says no too late.
template <class seam>
[[nodiscard]] bool tail_is_past(tail_figures<seam>& figures, uint64_t position) {
  seam::fence(order::fence_copy);  // SYNC POINT fence_copy <- fence_tail
  const uint32_t low = figures.tail[0].load(order::observe_tail);
  // Relaxed: behind an acquire, so at least the high word that belongs to this low one.
  const uint64_t high = figures.tail[1].load(memory_order::relaxed);
  return (high << 32 | low) > position;
}

// What one reader has taken of an overwriting ring, and what it has missed and not announced yet. One thread.
template <class seam>
class tail_watch {
 public:
  static constexpr uint32_t max_attempts = 64;

  void attach(tail_figures<seam>& figures) { figures_ = &figures; }

  // A committed record was delivered.
  void take(uint32_t type) { ++accounted_[type]; }

  [[nodiscard]] bool is_past(uint64_t position) const { return tail_is_past(*figures_, position); }

  // Where the reader may go on: at its cursor, or at the tail if that is past it; then what lies between is missed. Records that
  // were set aside before the tail are in the figures: the caller forgets them. False: the tail is moving without pause.
  [[nodiscard]] bool catch_up(uint64_t& cursor) {
    tail_summary<seam> now;
    for (uint32_t attempt = 0; !read_tail_figures(*figures_, now);) {
      if (++attempt == max_attempts) return false;
    }
    if (now.tail <= cursor) return true;
    if (!gap_) begin_ = cursor;
    gap_ = true;
    lone_ = false;
    bytes_ = now.tail - begin_;
    for (uint32_t type = 0; type < seam::types; ++type) {
      missed_[type] = static_cast<int64_t>(now.committed[type] - accounted_[type]);
    }
    cursor = now.tail;
    return true;
  }

  // A record that was set aside was overwritten, and the cursor was not.
  void miss_one(uint64_t position, uint32_t type, uint32_t bytes) {
    if (!gap_) {
      begin_ = position;
      lone_ = true;
    }
    gap_ = true;
    bytes_ += bytes;
    ++missed_[type];
  }

  // Whether events were missed that no LOSS record tells of yet. A gap of nothing but discarded records is none.
  bool has_gap() {
    if (!gap_) return false;
    if (missed_events() != 0) return true;
    forget();
    return false;
  }
  // The same, where the records in whose favour it was overwritten may have been taken already: nothing need follow the gap.
  bool has_lone_gap() { return lone_ && has_gap(); }
  uint64_t gap_position() const { return begin_; }

  // Writes the LOSS record to the start of `to`; returns its length.
  uint32_t write_loss(const typename seam::memory& to, uint64_t first_time, uint64_t last_time) const {
    uint32_t end = record_header_size + static_cast<uint32_t>(sizeof(loss_payload));
    uint32_t entries = 0;
    for (uint32_t type = 0; type < seam::types; ++type) {
      if (missed(type) == 0) continue;
      to.store(end + offsetof(loss_entry, type), type);
      to.store(end + offsetof(loss_entry, reserved1), 0);
      put64(to, end + offsetof(loss_entry, events), missed(type));
      end += sizeof(loss_entry);
      ++entries;
    }
    to.store(offsetof(record_header, state_and_length), make_state_and_length(record_state::committed, end));
    to.store(offsetof(record_header, type), record_type_loss | 1u << 16 | uint32_t{record_flag_critical} << 24);
    put64(to, offsetof(record_header, time_low), last_time);
    put64(to, record_header_size + offsetof(loss_payload, first_time), first_time);
    put64(to, record_header_size + offsetof(loss_payload, last_time), last_time);
    put64(to, record_header_size + offsetof(loss_payload, bytes), bytes_);
    put64(to, record_header_size + offsetof(loss_payload, events), missed_events());
    to.store(record_header_size + offsetof(loss_payload, entry_count), entries);
    to.store(record_header_size + offsetof(loss_payload, cause), static_cast<uint32_t>(loss_cause::overwritten));
    return end;
  }

  // The LOSS record was delivered.
  void announced() {
    announced_events_ += missed_events();
    for (uint32_t type = 0; type < seam::types; ++type) accounted_[type] += missed(type);
    forget();
  }
  uint64_t announced_events() const { return announced_events_; }

 private:
  // What was announced too much (O3) leaves a difference below zero, which the next gap of that type makes good.
  uint64_t missed(uint32_t type) const { return missed_[type] > 0 ? static_cast<uint64_t>(missed_[type]) : 0; }
  uint64_t missed_events() const {
    uint64_t events = 0;
    for (uint32_t type = 0; type < seam::types; ++type) events += missed(type);
    return events;
  }
  void forget() {
    gap_ = lone_ = false;
    bytes_ = 0;
    for (int64_t& each : missed_) each = 0;
  }
  static void put64(const typename seam::memory& to, uint32_t offset, uint64_t value) {
    to.store(offset, static_cast<uint32_t>(value));
    to.store(offset + 4, static_cast<uint32_t>(value >> 32));
  }

  tail_figures<seam>* figures_ = nullptr;
  uint64_t begin_ = 0;  // of the gap
  uint64_t bytes_ = 0;
  uint64_t announced_events_ = 0;
  bool gap_ = false;
  bool lone_ = false;
  uint64_t accounted_[seam::types] = {};  // committed records before the cursor: delivered, or announced as missed
  int64_t missed_[seam::types] = {};
};

}  // namespace sluice
