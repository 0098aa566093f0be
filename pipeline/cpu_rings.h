// What one CPU writes to: its ring, a spare ring for critical events, its ledger and its clock. Kernel-private, never
// mapped. This is where reserve, write, commit and discard are.
//
// The spare lane. A reservation that stays open keeps everything behind it from being reclaimed, and in time fills the
// ring. Critical events then still get through: when the main ring refuses one, it goes to the spare ring, which only
// such events use. Both lanes share the ledger, so a gap is announced in front of whatever gets through next, and the
// clock, so that times on a CPU rise across both lanes (strictly, where the lane changes: the merge knows no other order
// between lanes).
// In overwrite mode it is the other way round: critical events go to the spare ring, and to the main ring only if an open
// record keeps the spare one from making room. So ordinary events, however many, overwrite no critical one that is there.
//
// The clock may step back (resume, migration of a virtual machine). By no more than `step_back` ticks: times stand still
// until it has caught up. By more: the CPU goes on with the new times, and whoever reads its rings sees that a clock epoch
// has begun (pipeline/epoch.h). Nothing is told to other CPUs.
//
// Every member runs in the CPU's section: DISPATCH_LEVEL, on that CPU. Freestanding.
#pragma once

#include "pipeline/ring.h"

namespace sluice {

enum class reserve_status : uint32_t {
  ok,
  dropped,       // counted by reason, and announced in the stream
  invalid_type,  // not a type of this format: the caller's mistake, counted nowhere
  filtered,      // a filter in front of the rings did not want it, and counted it; rings never say this
};

template <class seam, class clock>
class cpu_rings {
 public:
  static constexpr uint64_t never_steps_back = ~uint64_t{0};

  explicit cpu_rings(clock source = clock()) : clock_(source) {}

  // `critical_types`: bit n is set if type n is critical. `step_back`: ticks; as in merge_options of whoever reads.
  void attach(const region_view<seam>& main, const region_view<seam>& spare, uint64_t critical_types,
              uint64_t step_back = never_steps_back) {
    main_.attach(main);
    spare_.attach(spare);
    spare_first_ = spare.mode == ring_mode::overwrite;
    ledger_.attach(&main.producer->loss);
    longest_payload_ = main_.max_record() - record_header_size;
    critical_types_ = critical_types;
    step_back_ = step_back;
  }

  // Reserves, copies and commits at once. `payload` is memory that may be touched at DISPATCH_LEVEL.
  [[nodiscard]] SLUICE_ALWAYS_INLINE reserve_status write(uint16_t type, uint8_t version, const void* payload,
                                                          uint32_t payload_length) {
    if (!is_type(type) || payload_length > longest_payload_) [[unlikely]] return refuse(type, payload_length);
    ledger_.attempt(type);
    open_record<seam> record;
    if (!main_.place_at_once(shape_of(type, version, payload_length), record)) [[unlikely]] {
      return write_slowly(type, version, payload, payload_length);
    }
    // Before the publication: the record is not final for as short a time as can be.
    record.data.copy_in(record.offset + record_header_size, payload, payload_length);
    main_.publish();
    main_.put_time(record, now());
    record.close(record_state::committed);
    return reserve_status::ok;
  }

  // Reserves only. The caller fills record.payload() outside the section, at its own IRQL, and closes the record.
  // `prepare(record)` runs in the section, before the record can be seen: what it writes may be read while the record is
  // still open (who holds it), so nobody writes there again.
  template <class preparation>
  [[nodiscard]] SLUICE_ALWAYS_INLINE reserve_status reserve(uint16_t type, uint8_t version, uint32_t payload_length,
                                                            open_record<seam>& record, preparation&& prepare) {
    if (!is_type(type) || payload_length > longest_payload_) [[unlikely]] return refuse(type, payload_length);
    ledger_.attempt(type);
    if (main_.place_at_once(shape_of(type, version, payload_length), record)) [[likely]] {
      prepare(record);
      main_.publish();
      main_.stamp(record, now());
      return reserve_status::ok;
    }
    open_record<seam> loss;
    ring<seam>* const lane = place_somewhere(shape_of(type, version, payload_length), record, loss);
    if (lane == nullptr) return reserve_status::dropped;
    prepare(record);
    lane->stamp(record, publish(*lane, loss));
    return reserve_status::ok;
  }
  [[nodiscard]] SLUICE_ALWAYS_INLINE reserve_status reserve(uint16_t type, uint8_t version, uint32_t payload_length,
                                                            open_record<seam>& record) {
    return reserve(type, version, payload_length, record, [](const open_record<seam>&) {});
  }

  // Whether a LOSS record goes in front of the next event. A reservation commits it at once: its caller then looks at the
  // consumer's announcement, as after any close (W1, pipeline/wake.h).
  SLUICE_ALWAYS_INLINE bool gap_is_open() const { return ledger_.gap_is_open(); }

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
    positions found;
    put_positions(found);
    return found;
  }
  const account_row& row(uint32_t type) const { return ledger_.row(type); }
  uint64_t violations() const { return past_violations_ + main_.violations() + spare_.violations(); }

  // Another consumer, as ring::restart_consumer says: where it begins.
  struct restart {
    uint64_t begins[lanes_per_cpu];
    positions where;
    uint64_t announced;  // events that LOSS records have told of: those that were given back, and those behind `begins`
  };
  restart restart_consumer() {
    past_violations_ += static_cast<uint64_t>(main_.violations()) + spare_.violations();
    main_.restart_consumer();
    spare_.restart_consumer();
    restart made{{main_.reclaimed_extended(), spare_.reclaimed_extended()}, {}, ledger_.announced_events()};
    put_positions(made.where);
    return made;
  }

 private:
  SLUICE_ALWAYS_INLINE void put_positions(positions& to) const {
    to.reclaimed[lane_main] = main_.reclaimed_position();
    to.reclaimed[lane_spare] = spare_.reclaimed_position();
    to.written[lane_main] = main_.write_position();
    to.written[lane_spare] = spare_.write_position();
  }

  // record_type_invalid is 0 and wraps: one comparison.
  static SLUICE_ALWAYS_INLINE bool is_type(uint16_t type) {
    static_assert(record_type_invalid == 0);
    return static_cast<uint32_t>(type) - 1 < seam::types - 1;
  }

  SLUICE_ALWAYS_INLINE record_shape shape_of(uint16_t type, uint8_t version, uint32_t payload_length) const {
    return {record_header_size + payload_length, type, version, (critical_types_ >> type & 1) != 0};
  }

  // R2: clamped to the last time of this CPU, within an epoch.
  SLUICE_ALWAYS_INLINE uint64_t now() {
    uint64_t time = clock_.now();
    if (time <= last_time_) [[unlikely]] {
      if (last_time_ - time <= step_back_) time = last_time_;  // otherwise: a new epoch
    }
    last_time_ = time;
    return time;
  }

  SLUICE_NEVER_INLINE reserve_status refuse(uint16_t type, uint32_t payload_length) {
    if (!is_type(type)) return reserve_status::invalid_type;
    ledger_.attempt(type);
    drop(type, drop_reason::too_long, uint64_t{record_header_size} + payload_length);
    return reserve_status::dropped;
  }

  SLUICE_NEVER_INLINE reserve_status write_slowly(uint16_t type, uint8_t version, const void* payload,
                                                  uint32_t payload_length) {
    open_record<seam> record;
    open_record<seam> loss;
    ring<seam>* const lane = place_somewhere(shape_of(type, version, payload_length), record, loss);
    if (lane == nullptr) return reserve_status::dropped;
    record.data.copy_in(record.offset + record_header_size, payload, record.payload_length());
    lane->put_time(record, publish(*lane, loss));
    record.close(record_state::committed);
    return reserve_status::ok;
  }

  // Finds room in the main ring, with whatever that takes, or in the spare ring for a critical event. Null: there is none;
  // the event is dropped, counted and joins the gap.
  SLUICE_NEVER_INLINE ring<seam>* place_somewhere(const record_shape& shape, open_record<seam>& record,
                                                  open_record<seam>& loss) {
    const bool for_spare = shape.critical && shape.length <= spare_.max_record();
    if (for_spare && spare_first_ && spare_.place(shape, ledger_, record, loss)) return &spare_;
    if (main_.place(shape, ledger_, record, loss)) return &main_;
    if (for_spare && !spare_first_ && spare_.place(shape, ledger_, record, loss)) return &spare_;
    drop(shape.type,
         main_.violations() != 0 ? drop_reason::violation
         : shape.critical        ? drop_reason::critical_full
                                 : drop_reason::ring_full,
         shape.length);
    return nullptr;
  }

  // Counts an event that got no room: it joins the gap, which is announced in front of whatever gets through next.
  void drop(uint16_t type, drop_reason reason, uint64_t bytes) {
    ledger_.drop(type, reason, bytes, now());
    main_.announce_first();
  }

  // Publishes what was placed in a lane, reads the clock, and commits the LOSS record, if there is one. Returns the time.
  SLUICE_NEVER_INLINE uint64_t publish(ring<seam>& lane, const open_record<seam>& loss) {
    lane.publish();
    uint64_t time = now();
    if (&lane == &spare_) {  // after all that the main ring holds, and before all that it will
      time = last_time_ + 1;
      last_time_ = time + 1;
    }
    if (loss.length != 0) {
      lane.put_time(loss, time);
      loss.close(record_state::committed);
    }
    return time;
  }

  ring<seam> main_;
  uint32_t longest_payload_ = 0;  // bytes that fit into a record of the main ring
  uint64_t last_time_ = 0;
  uint64_t critical_types_ = 0;
  uint64_t step_back_ = never_steps_back;
  clock clock_;
  ledger<seam> ledger_;
  ring<seam> spare_;
  uint64_t past_violations_ = 0;  // of consumers that were replaced
  bool spare_first_ = false;  // critical events: overwrite mode
};

}  // namespace sluice
