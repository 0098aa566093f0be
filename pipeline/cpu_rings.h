// What one CPU writes to: its ring, a spare ring for critical events, its ledger and its clock. Kernel-private, never
// mapped. This is where reserve, write, commit and discard are.
//
// The spare lane. A reservation that stays open keeps everything behind it from being reclaimed, and in time fills the
// ring. Critical events then still get through: when the main ring refuses one, it goes to the spare ring, which only
// such events use. Both lanes share the ledger, so a gap is announced in front of whatever gets through next, and the
// clock, so that times on a CPU rise across both lanes (strictly, where the lane changes: the merge knows no other order
// between lanes).
//
// Every member runs in the CPU's section: DISPATCH_LEVEL, on that CPU. Freestanding.
#pragma once

#include "pipeline/ring.h"

namespace sluice {

enum class reserve_status : uint32_t {
  ok,
  dropped,       // counted by reason, and announced in the stream
  invalid_type,  // not a type of this format: the caller's mistake, counted nowhere
};

template <class seam, class clock>
class cpu_rings {
 public:
  explicit cpu_rings(clock source = clock()) : clock_(source) {}

  // `critical_types`: bit n is set if type n is critical.
  void attach(const region_view<seam>& main, const region_view<seam>& spare, uint64_t critical_types) {
    main_.attach(main);
    spare_.attach(spare);
    ledger_.attach(&main.producer->loss);
    critical_types_ = critical_types;
  }

  // Reserves, copies and commits at once. `payload` is memory that may be touched at DISPATCH_LEVEL.
  [[nodiscard]] SLUICE_ALWAYS_INLINE reserve_status write(uint16_t type, uint8_t version, const void* payload,
                                                          uint32_t payload_length) {
    if (type >= seam::types) return reserve_status::invalid_type;
    const record_shape shape = shape_of(type, version, payload_length);
    ledger_.attempt(type);
    open_record<seam> record;
    open_record<seam> loss;
    if (payload_length > main_.max_record() - record_header_size || !main_.place(shape, ledger_, record, loss)) {
      if (!place_elsewhere(shape, payload_length, record, loss)) return reserve_status::dropped;
      record.data.copy_in(record.offset + record_header_size, payload, payload_length);
      const uint64_t time = publish_spare(loss);
      spare_.put_time(record, time);
    } else {
      // Before the publication: the record is not final for as short a time as can be.
      record.data.copy_in(record.offset + record_header_size, payload, payload_length);
      main_.publish();
      const uint64_t time = now();
      if (loss.length != 0) close_loss(main_, loss, time);
      main_.put_time(record, time);
    }
    record.close(record_state::committed);
    return reserve_status::ok;
  }

  // Reserves only. The caller fills record.payload() outside the section, at its own IRQL, and closes the record.
  // `prepare(record)` runs in the section, before the record can be seen: what it writes may be read while the record is
  // still open (who holds it), so nobody writes there again.
  template <class preparation>
  [[nodiscard]] SLUICE_ALWAYS_INLINE reserve_status reserve(uint16_t type, uint8_t version, uint32_t payload_length,
                                                            open_record<seam>& record, preparation&& prepare) {
    if (type >= seam::types) return reserve_status::invalid_type;
    const record_shape shape = shape_of(type, version, payload_length);
    ledger_.attempt(type);
    open_record<seam> loss;
    if (payload_length > main_.max_record() - record_header_size || !main_.place(shape, ledger_, record, loss)) {
      if (!place_elsewhere(shape, payload_length, record, loss)) return reserve_status::dropped;
      prepare(record);
      spare_.stamp(record, publish_spare(loss));
      return reserve_status::ok;
    }
    prepare(record);
    main_.publish();
    const uint64_t time = now();
    if (loss.length != 0) close_loss(main_, loss, time);
    main_.stamp(record, time);
    return reserve_status::ok;
  }
  [[nodiscard]] SLUICE_ALWAYS_INLINE reserve_status reserve(uint16_t type, uint8_t version, uint32_t payload_length,
                                                            open_record<seam>& record) {
    return reserve(type, version, payload_length, record, [](const open_record<seam>&) {});
  }

  // R3 for one type, at this moment, as far as the private cursors have come: committed and discarded records behind them
  // are still in the rings, and `open` is 0. Whoever reads the rings walks the rest (from `reclaimed` to `written`).
  struct positions {
    uint32_t reclaimed[lanes_per_cpu];
    uint32_t written[lanes_per_cpu];
  };
  // Passes what the consumer has released; false: more is left, call again. Short, as the section must be.
  bool settle() {
    const bool main_settled = main_.reclaim_some(ledger_);
    return spare_.reclaim_some(ledger_) && main_settled;
  }
  positions where() const {
    return {{main_.reclaimed_position(), spare_.reclaimed_position()},
            {main_.write_position(), spare_.write_position()}};
  }
  const account_row& row(uint32_t type) const { return ledger_.row(type); }
  uint64_t violations() const { return static_cast<uint64_t>(main_.violations()) + spare_.violations(); }

 private:
  SLUICE_ALWAYS_INLINE record_shape shape_of(uint16_t type, uint8_t version, uint32_t payload_length) const {
    return {record_header_size + payload_length, type, version, (critical_types_ >> type & 1) != 0};
  }

  // R2: clamped to the last time of this CPU.
  SLUICE_ALWAYS_INLINE uint64_t now() {
    const uint64_t time = clock_.now();
    if (time > last_time_) last_time_ = time;
    return last_time_;
  }

  // The main ring has no room. True: the spare ring took it, unpublished.
  SLUICE_NEVER_INLINE bool place_elsewhere(const record_shape& shape, uint32_t payload_length,
                                           open_record<seam>& record, open_record<seam>& loss) {
    drop_reason reason = shape.critical ? drop_reason::critical_full : drop_reason::ring_full;
    if (payload_length > main_.max_record() - record_header_size) {
      reason = drop_reason::too_long;
    } else if (shape.critical && payload_length <= spare_.max_record() - record_header_size &&
               spare_.place(shape, ledger_, record, loss)) {
      return true;
    } else if (main_.violations() != 0) {
      reason = drop_reason::violation;
    }
    ledger_.drop(shape.type, reason, shape.length, now());
    return false;
  }

  SLUICE_NEVER_INLINE uint64_t publish_spare(const open_record<seam>& loss) {
    spare_.publish();
    const uint64_t read = clock_.now();
    const uint64_t time = read > last_time_ ? read : last_time_ + 1;  // after all that the main ring holds
    last_time_ = time + 1;                                            // and before all that it will
    if (loss.length != 0) close_loss(spare_, loss, time);
    return time;
  }

  SLUICE_NEVER_INLINE static void close_loss(ring<seam>& lane, const open_record<seam>& loss, uint64_t time) {
    lane.put_time(loss, time);
    loss.close(record_state::committed);
  }

  ring<seam> main_;
  uint64_t last_time_ = 0;
  uint64_t critical_types_ = 0;
  clock clock_;
  ring<seam> spare_;
  ledger<seam> ledger_;
};

}  // namespace sluice
