// Copies the records of one ring while it is being written to: a snapshot, piece by piece, that stops nobody.
//
//   producer, in its section                            copier, any thread
//   header, published                publish .....>     where the ring begins (its tail), then `published`: the piece's end
//                                                       header of a record -> the copy
//   time, stamped; payload, closed   stamp, close ..>   fence; the rest of the record -> the copy; the next record
//                                                       fence
//   tail, and what it has passed                        tail, and what it has passed, read as one: what was copied of
//   fence_tail; bytes in that room .................>   records before it is worth nothing
//
// A piece consists of whole records that follow one another, each in the state that it had when its header was copied. Of
// a committed or discarded record the time and the payload are its own; of a stamped one the time; what a record was
// reserved with (pipeline/cpu_rings.h, prepare) is there in any state.
//
// Invariants
//   C1  every record of a piece was published before its end was read, and none of them is torn.
//   C2  pieces leave nothing out: what is not in them was overwritten, and the figures of the first piece count exactly
//       what was committed before its first record.
//
// A discarding ring is copied by its consumer, or while that gives nothing back: then nothing of it is overwritten.
// Freestanding; any IRQL at which the memory may be touched.
#pragma once

#include "pipeline/tail.h"

namespace sluice {

enum class ring_copy_status : uint32_t {
  ok,
  overtaken,  // the producer overwrote faster than it was copied, again and again: nothing is in the piece
  damaged,    // a header does not hold: the piece ends in front of it
};

template <class seam>
class ring_copier {
 public:
  static constexpr uint32_t max_attempts = 16;
  static constexpr uint32_t max_looks = 64;  // at figures that move

  struct piece {
    uint64_t begin = 0;    // of its first record
    uint64_t end = 0;      // behind its last one
    uint64_t until = 0;    // what was published when the piece, or one that it goes on, began
    uint32_t skipped = 0;  // bytes of the copy in front of the first record: overwritten meanwhile
    tail_summary<seam> passed;  // overwrite mode: what the tail had passed after copying; the first record stands there, or behind
    ring_copy_status status = ring_copy_status::ok;
  };

  explicit ring_copier(const region_view<seam>& ring)
      : data_(ring.data),
        producer_(ring.producer),
        mask_(ring.geometry.capacity - 1),
        max_record_(ring.geometry.max_record),
        overwrites_(ring.mode == ring_mode::overwrite) {}

  // The first piece. `kept`: of a discarding ring, the position up to which room was given back; an overwriting one has
  // its tail. As many records as fit `room` bytes, which hold the longest record. Where bytes go is asked with
  // place(offset): memory for the record that begins `offset` bytes behind the beginning of the copy.
  template <class placement>
  void copy(uint64_t kept, uint32_t room, placement&& place, piece& result) {
    result.skipped = 0;
    if (overwrites_) {
      if (!look_at_tail(result.passed)) return give_up(result, kept);
      kept = result.passed.tail;
    }
    copy_on(kept, end_behind(kept), room, place, result);
  }

  // The next piece, from the end of the one before to its `until`. If it does not begin there, what is missing was overwritten:
  // the piece is a first one then, and what was copied before it is no longer a part of the ring.
  template <class placement>
  void copy_more(uint64_t from, uint64_t until, uint32_t room, placement&& place, piece& result) {
    result.skipped = 0;
    copy_on(from, until, room, place, result);
  }

 private:
  // Up to where records are published now. Behind the look at the tail, so it is no older.
  uint64_t end_behind(uint64_t position) const {
    // SYNC POINT observe_published <- publish
    return position + static_cast<uint32_t>(producer_->published.load(order::observe_published) - static_cast<uint32_t>(position));
  }

  template <class placement>
  void copy_on(uint64_t from, uint64_t until, uint32_t room, placement& place, piece& result) {
    for (uint32_t attempt = 0; attempt < max_attempts; ++attempt) {
      result.status = ring_copy_status::ok;
      result.begin = from;
      result.until = until;
      result.end = copy_records(from, until, room, place, result.status);
      if (!overwrites_) return;
      seam::fence(order::fence_copy);  // SYNC POINT fence_copy <- fence_tail
      if (!look_at_tail(result.passed)) break;
      const uint64_t tail = result.passed.tail;
      if (tail <= from && (result.end != from || from == until || result.status == ring_copy_status::damaged)) return;
      if (tail > from && tail < result.end) {
        result.begin = tail;
        result.skipped = static_cast<uint32_t>(tail - from);
        return;
      }
      // Nothing is left of it: again, from where the ring begins by now.
      if (tail > from) {
        from = tail;
        until = end_behind(from);
      }
    }
    give_up(result, from);
  }

  static void give_up(piece& result, uint64_t from) {
    result.begin = result.end = result.until = from;
    result.status = ring_copy_status::overtaken;
  }

  [[nodiscard]] bool look_at_tail(tail_summary<seam>& summary) {
    for (uint32_t look = 0; look < max_looks; ++look) {
      if (read_tail_figures(producer_->tail, summary)) return true;
    }
    return false;
  }

  // Record by record, as far as there is room and nothing was overtaken; returns where it has come to.
  template <class placement>
  uint64_t copy_records(uint64_t from, uint64_t until, uint32_t room, placement& place, ring_copy_status& status) {
    uint64_t at = from;
    while (at != until) {
      const uint32_t used = static_cast<uint32_t>(at - from);
      if (room - used < record_header_size) break;
      const uint32_t offset = static_cast<uint32_t>(at) & mask_;
      const typename seam::memory to = place(used);
      data_.copy_out(offset, to, 0, offsetof(record_header, time_low));
      // SYNC POINT fence_copy <- stamp, close: time and payload were written before the state that was just copied.
      seam::fence(order::fence_copy);
      // Nothing of the header is looked at before it is known to be one.
      if (overwrites_ && tail_is_past(producer_->tail, at)) break;
      const uint32_t state_and_length = to.load(offsetof(record_header, state_and_length));
      const uint32_t length = length_of(state_and_length);
      const record_state state = state_of(state_and_length);
      if (state == record_state::none || state > record_state::discarded || length < record_header_size ||
          length > max_record_ || record_stride(length) > until - at) {
        status = ring_copy_status::damaged;
        break;
      }
      if (record_stride(length) > room - used) break;
      data_.copy_out(offset, to, offsetof(record_header, time_low), record_stride(length));
      at += record_stride(length);
    }
    return at;
  }

  typename seam::memory data_;
  producer_page<seam>* producer_;
  uint32_t mask_;
  uint32_t max_record_;
  bool overwrites_;
};

}  // namespace sluice
