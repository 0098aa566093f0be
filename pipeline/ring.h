// The ring of one CPU: the kernel's side. Records go in here; pipeline/ring_reader.h takes them out.
//
//        reclaimed            oldest open         write (published)
//            |                     |                    |
//   ---------+---------------------+--------------------+-----------------------------
//    free    | closed records that | reserved, stamped, | free
//            | the consumer is     | committed and      |
//            | done with or not    | discarded mixed    |
//   ---------+---------------------+--------------------+-----------------------------
//            `------------- at most the capacity -------'
//
// A record stands at `position & mask` and may run into the apron behind the capacity: it is always contiguous.
//
// Who may call. One producer at a time: whoever holds the CPU's section (DISPATCH_LEVEL on that CPU). `close` is the
// exception: any thread, any CPU, any IRQL, once per reservation.
//
//   |               | place..publish | close  | reclaim | reader |
//   | place..publish| section        | free   | section | free   |
//   | close         |                | free   | free    | free   |
//   | reclaim       |                |        | section | free   |
//
// Invariants
//   R1  consumed <= oldest open record <= write <= reclaimed + capacity; reclaimed never passes an open record.
//   R2  timestamps never decrease in the order of positions within a clock epoch (the caller's clock is clamped:
//       pipeline/cpu_rings.h); one that does begins an epoch (pipeline/epoch.h).
//   R5  the consumer's word is read at most once per reclaim, and only bounds a walk over headers that this side wrote. Room is
//       given back record by record, each one closed and ending at or before the claim; a claim that is not the end of a
//       closed record is a violation: counted, and nothing is reclaimed again. Nothing is parsed at a claimed offset.
//   R6  ordinary records leave `critical_bytes` of the capacity to critical ones.
//
// In overwrite mode (a property of the region) room comes from the oldest records instead of from the consumer: R1 without its
// first part, and O1 to O3 of pipeline/tail.h. The consumer's word then serves a figure only (account_row::overwritten).
//
// Freestanding.
#pragma once

#include "pipeline/ledger.h"
#include "pipeline/order.h"
#include "pipeline/tail.h"

namespace sluice {

// What the producer asks room for.
struct record_shape {
  uint32_t length;  // bytes, header included
  uint16_t type;    // < max_record_types
  uint8_t version;
  bool critical;
};

// A record that has its place and is not closed yet. A plain value: closing it twice is the caller's mistake.
template <class seam>
struct open_record {
  typename seam::memory data;
  uint32_t offset;
  uint32_t length;  // header included

  uint8_t* payload() const { return data.bytes(offset + record_header_size); }
  uint32_t payload_length() const { return length - record_header_size; }

  // Step 4. Any CPU, any IRQL. The caller looks at the consumer's announcement afterwards (pipeline/wake.h).
  SLUICE_ALWAYS_INLINE void close(record_state state) const {
    data.state(offset).store(make_state_and_length(state, length), order::close);
  }
};

template <class seam>
class ring {
 public:
  // One reclaim gives back this much, and what the asked room needs: the section stays short, and no write pays for many.
  static constexpr uint32_t reclaim_step = 1024;  // bytes: at most 64 headers are looked at
  static constexpr uint32_t prefetched_line = 64;  // bytes

  void attach(const region_view<seam>& view) {
    data_ = view.data;
    producer_ = view.producer;
    consumer_ = view.consumer;
    capacity_ = view.geometry.capacity;
    mask_ = view.geometry.capacity - 1;
    ordinary_limit_ = view.geometry.capacity - view.geometry.critical_bytes;
    max_record_ = view.geometry.max_record;
    write_ = reclaimed_ = claim_ = view.start_position;
    written_ = view.start_position;
    overwrites_ = view.mode == ring_mode::overwrite;
    room_ = overwrites_ ? 0 : ordinary_limit_;
  }

  // Step 1 and the header of step 3, unpublished, where nothing is out of the ordinary: no gap to announce, and ordinary
  // room that is known to be free. False: place() has to find out. Nothing has changed then.
  // The caller has compared shape.length with max_record().
  SLUICE_ALWAYS_INLINE bool place_at_once(const record_shape& shape, open_record<seam>& record) {
    const uint32_t need = record_stride(shape.length);
    if (need > room_) [[unlikely]] return false;
    room_ -= need;
    put_record(shape, record);
    return true;
  }

  // A gap was opened: place() has to announce it before place_at_once gives out anything again.
  void announce_first() { room_ = 0; }

  // Steps 1 and 2 of a reservation, and the header of step 3, unpublished: finds room for the record, and for a LOSS
  // record in front of it if the ledger has a gap (loss.length is 0 if not). False: no room. Nothing has changed then.
  SLUICE_NEVER_INLINE bool place(const record_shape& shape, ledger<seam>& ledger, open_record<seam>& record,
                                 open_record<seam>& loss) {
    uint32_t need = record_stride(shape.length);
    loss.length = 0;
    if (ledger.gap_is_open()) {
      loss.length = ledger.loss_length();
      need += record_stride(loss.length);
    }
    // R1. The consumer's line is touched only when the private copy says that room is short.
    if (!fits(need, limit_of(shape)) && !reclaim(need, limit_of(shape), ledger)) return false;
    if (loss.length != 0) {
      put_record({loss.length, record_type_loss, 1, true}, loss);
      ledger.write_loss(data_, loss.offset + record_header_size);
      ledger.attempt(record_type_loss);
    }
    put_record(shape, record);
    const uint32_t used = write_ - reclaimed_;
    room_ = !overwrites_ && used < ordinary_limit_ ? ordinary_limit_ - used : 0;
    return true;
  }

  // Step 3: what was placed can be seen. The clock is read after this, never before.
  SLUICE_ALWAYS_INLINE void publish() {
    producer_->published.store(write_, order::publish);  // SYNC POINT publish -> observe_published
    seam::light_barrier();                               // the clock read stays behind the store: pipeline/barrier.h
  }

  // Step 3, end: the record has its time.
  SLUICE_ALWAYS_INLINE void put_time(const open_record<seam>& record, uint64_t time) {
    record.data.store_time(record.offset + offsetof(record_header, time_low), time);
  }
  SLUICE_ALWAYS_INLINE void stamp(const open_record<seam>& record, uint64_t time) {
    put_time(record, time);
    record.data.state(record.offset).store(make_state_and_length(record_state::stamped, record.length), order::stamp);
  }

  // Makes room: up to what the consumer claims, R5, or past the oldest records. True if `need` bytes fit under `limit`
  // afterwards. In the section.
  SLUICE_NEVER_INLINE bool reclaim(uint32_t need, uint32_t limit, ledger<seam>& ledger) {
    if (overwrites_) return overwrite_oldest(need, limit, ledger);
    (void)walk_to_claim(need, limit, ledger);
    return violations_ == 0 && fits(need, limit);
  }

  // Walks on until the claim is reached or `reclaim_step` bytes were passed. True: nothing claimed is left. In the section.
  // In overwrite mode nothing is ever claimed.
  bool reclaim_some(ledger<seam>& ledger) { return overwrites_ || walk_to_claim(0, capacity_, ledger); }

  // Another consumer begins where room was given back to: what the former one claimed beyond that is void, and so is its violation. The
  // former one cannot write to the consumer's word any more. In the section.
  void restart_consumer() {
    follow_write_position();
    claim_ = reclaimed_;
    violations_ = 0;
    consumer_->consumed.store(reclaimed_, order::release_consumed);  // SYNC POINT release_consumed -> observe_consumed
  }
  // The 64-bit extension of reclaimed_position(), once restart_consumer() was called. Not in overwrite mode.
  uint64_t reclaimed_extended() const { return written_ - (write_ - reclaimed_); }

  // The longest record of this ring, header included.
  uint32_t max_record() const { return max_record_; }
  uint32_t write_position() const { return write_; }
  uint32_t reclaimed_position() const { return reclaimed_; }
  uint32_t violations() const { return violations_; }

 private:
  // The private 64-bit extension. Between two walks the write position comes by one capacity at most.
  void follow_write_position() { written_ += static_cast<uint32_t>(write_ - static_cast<uint32_t>(written_)); }

  // True: nothing was claimed beyond what is reclaimed, at a moment during this call; or the claim is refused.
  bool walk_to_claim(uint32_t need, uint32_t limit, ledger<seam>& ledger) {
    if (violations_ != 0) return true;
    follow_write_position();
    const typename seam::memory data = data_;
    const uint32_t begin = reclaimed_;
    const uint32_t used = write_ - begin;
    const uint32_t short_of = used + need > limit ? used + need - limit : 0;
    const uint32_t wanted = short_of > reclaim_step ? short_of : reclaim_step;
    bool claim_is_old = true;
    if (claim_ - begin < wanted) {
      claim_is_old = false;
      // SYNC POINT observe_consumed <- release_consumed. Read once; a hostile client may have written anything.
      const uint32_t claim_untrusted = consumer_->consumed.load(order::observe_consumed);
      if (claim_untrusted - begin > used) return violate();
      claim_ = claim_untrusted;
    }
    const uint32_t claimed = claim_ - begin;  // bytes that would be given back
    const uint32_t enough = claimed < wanted ? claimed : wanted;
    // The next step's lines, which the consumer had last: they come while this step's room is written to, so that neither
    // the next walk nor the stores behind it wait for them.
    if (claimed - enough >= reclaim_step) {
      for (uint32_t line = 0; line < reclaim_step; line += prefetched_line) {
        data.prefetch_for_writing((begin + enough + line) & mask_);
      }
    }
    uint32_t passed = 0;
    while (passed < enough) {
      const size_t offset = (begin + passed) & mask_;
      // SYNC POINT observe_closed <- close: the producer of that record will not write to it any more.
      const uint32_t state_and_length = data.state(offset).load(order::observe_closed);
      const uint32_t stride = stride_of(state_and_length);
      if (!is_closed(state_of(state_and_length)) || stride > claimed - passed) [[unlikely]] {
        reclaimed_ = begin + passed;
        return violate();
      }
      ledger.pass(data.load(offset + offsetof(record_header, type)) & 0xffff, state_of(state_and_length));
      passed += stride;
    }
    reclaimed_ = begin + passed;
    return passed == claimed && !claim_is_old;
  }

  // Overwrite mode: passes the oldest records until `need` bytes fit, a small step at least; or none at all, if an open record
  // stands in the way (O1).
  SLUICE_NEVER_INLINE bool overwrite_oldest(uint32_t need, uint32_t limit, ledger<seam>& ledger) {
    const typename seam::memory data = data_;
    const uint32_t begin = reclaimed_;
    const uint32_t used = write_ - begin;
    const uint32_t short_of = used + need - limit;
    const uint32_t step = capacity_ / 64 < reclaim_step ? capacity_ / 64 : reclaim_step;
    const uint32_t wanted = short_of > step ? short_of : step;
    uint32_t passed = 0;
    while (passed < wanted && passed < used) {
      // SYNC POINT observe_closed <- close: the producer of that record will not write to it any more.
      const uint32_t state_and_length = data.state((begin + passed) & mask_).load(order::observe_closed);
      if (!is_closed(state_of(state_and_length))) break;
      passed += stride_of(state_and_length);
    }
    if (passed < short_of) return false;
    // Relaxed: what the consumer had given back counts as seen, and nothing but that count depends on it (R5).
    const uint32_t seen_untrusted = consumer_->consumed.load(memory_order::relaxed) - begin;
    const uint32_t seen = seen_untrusted <= used ? seen_untrusted : 0;
    tail_move<seam> move(producer_->tail);
    for (uint32_t at = 0; at < passed;) {
      const size_t offset = (begin + at) & mask_;
      // Relaxed: closed, as was seen above, and then nobody writes it again.
      const uint32_t state_and_length = data.state(offset).load(memory_order::relaxed);
      const uint32_t type = data.load(offset + offsetof(record_header, type)) & 0xffff;
      ledger.pass(type, state_of(state_and_length));
      if (state_of(state_and_length) == record_state::committed) {
        move.count(type);
        if (at >= seen) ledger.overwrite(type);
      }
      at += stride_of(state_and_length);
    }
    move.finish(begin + passed);
    reclaimed_ = begin + passed;
    return true;
  }

  bool fits(uint32_t need, uint32_t limit) const { return write_ - reclaimed_ + need <= limit; }
  SLUICE_ALWAYS_INLINE uint32_t limit_of(const record_shape& shape) const {
    return shape.critical ? capacity_ : ordinary_limit_;
  }

  SLUICE_NEVER_INLINE bool violate() {
    ++violations_;
    return true;
  }

  // The header of the next record. Nothing of it can be seen before publish().
  SLUICE_ALWAYS_INLINE void put_record(const record_shape& shape, open_record<seam>& record) {
    record.data = data_;
    record.offset = write_ & mask_;
    record.length = shape.length;
    const uint32_t flags = shape.critical ? record_flag_critical : 0;
    data_.store(record.offset + offsetof(record_header, type),
                static_cast<uint32_t>(shape.type) | static_cast<uint32_t>(shape.version) << 16 | flags << 24);
    // Relaxed: publish makes it visible together with the rest of the header.
    data_.state(record.offset).store(make_state_and_length(record_state::reserved, shape.length), memory_order::relaxed);
    write_ += record_stride(shape.length);
  }

  typename seam::memory data_;
  producer_page<seam>* producer_ = nullptr;
  consumer_page<seam>* consumer_ = nullptr;
  uint32_t write_ = 0;      // mod 2^32; where the next record goes
  uint32_t room_ = 0;       // bytes that place_at_once may give out; never more than is free for ordinary records
  uint32_t reclaimed_ = 0;  // mod 2^32; everything before is closed, passed by the ledger, and free; overwrite mode: the tail
  uint32_t claim_ = 0;      // mod 2^32; the last claim read: reclaimed_ <= claim_ <= write_
  uint32_t capacity_ = 0;
  uint32_t mask_ = 0;
  uint32_t ordinary_limit_ = 0;
  uint32_t max_record_ = 0;
  uint32_t violations_ = 0;
  bool overwrites_ = false;
  uint64_t written_ = 0;    // 64-bit extension of write_, as of the last walk
};

}  // namespace sluice
