// The channel: what producers write to. One pair of rings per CPU (pipeline/cpu_rings.h), the types that are switched on,
// and the signal to the consumer.
//
//   write      from any IRQL up to DISPATCH_LEVEL; payload from non-paged memory if at DISPATCH_LEVEL. Many records in one section:
//              the caller's own, which proves the level
//   reserve    from any IRQL up to DISPATCH_LEVEL; the record is filled and closed at the caller's IRQL
//
// The filter (producers/event_filter.h) stands in front of it: own events are judged here, the library's where they arise.
//
// CPUs can be added while running. Each gets its rings before anything runs on it: the kernel asks first
// (KeRegisterProcessorChangeCallback). Without memory for them the CPU is refused: events would be lost there that no
// account could tell of.
//
// Nothing is allocated per event. A record that finds no room is counted and announced, never waited for.
#pragma once

#include "pipeline/wake.h"
#include "producers/event_filter.h"
#include "producers/kernel_rings.h"
#include "producers/pool.h"
#include "producers/scopes.h"

namespace sluice {

struct channel_options {
  ring_geometry main;
  ring_geometry spare;
  uint64_t boot;             // identity of this load, in every record's identity
  uint64_t critical_types;   // bit n: type n may use the critical part and the spare ring
  uint32_t wake_threshold;   // pending bytes of a ring, at announcement level `threshold`
  uint32_t step_back_microseconds = 10000;  // a clock that goes back by less is waited for, one that goes back by more begins
                                            // an epoch (pipeline/epoch.h); more than twice the margin of the merge
  uint32_t start_position = 0;  // of every ring, a multiple of 8: near 2^32, a short run sees positions wrap
  uint64_t anchor_counter = 0;  // the clock's relation to UTC, for whoever finds the rings in a memory image; utc 0: not known
  uint64_t anchor_utc = 0;
  ring_mode mode = ring_mode::discard;
};

// A reservation that is held: RAII over critical region and record. Discards what was not committed. The thread that made
// it also ends it; up to APC_LEVEL it is in a critical region meanwhile, so it cannot be suspended.
class channel;
class reservation {
 public:
  reservation() = default;
  ~reservation() { discard(); }
  reservation(const reservation&) = delete;
  reservation& operator=(const reservation&) = delete;

  explicit operator bool() const { return channel_ != nullptr; }
  uint8_t* payload() const { return record_.payload(); }
  uint32_t payload_length() const { return record_.payload_length(); }

  void commit() { end(record_state::committed); }
  void discard() { end(record_state::discarded); }

 private:
  friend class channel;
  _IRQL_requires_max_(DISPATCH_LEVEL)
  void end(record_state state);

  channel* channel_ = nullptr;
  kernel_record record_{};
  uint32_t cpu_ = 0;
  uint16_t type_ = 0;
  bool in_critical_region_ = false;
};

class channel {
 public:
  channel() = default;
  ~channel() { stop(); }
  channel(const channel&) = delete;
  channel& operator=(const channel&) = delete;

  // PASSIVE_LEVEL. STATUS_INVALID_PARAMETER: a geometry that does not hold; STATUS_INSUFFICIENT_RESOURCES.
  [[nodiscard]] SLUICE_INIT_CODE _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS create(const kernel_functions& functions, const channel_options& options);
  // PASSIVE_LEVEL. CPUs that are added from now on have no rings.
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  void stop();

  // Copies `length` bytes and commits at once. Up to DISPATCH_LEVEL. The look at the announcement is part of the section: a
  // thread that is suspended where the section ends would leave its record lying, and nobody else would signal (W1).
  reserve_status write(uint16_t type, uint8_t version, const void* payload, uint32_t length) {
    if (filter_.is_set() && !filter_.keeps_own(type, payload, length)) [[unlikely]] return reserve_status::filtered;
    const dispatch_section section;
    return write_in(section.cpu(), type, version, payload, length);
  }
  // The same in the caller's section, for many records one after the other: the level is raised once for all of them. As long as it
  // lasts nothing else runs on this processor: keep it to some tens of microseconds.
  reserve_status write(const dispatch_section& section, uint16_t type, uint8_t version, const void* payload, uint32_t length) {
    if (filter_.is_set() && !filter_.keeps_own(type, payload, length)) [[unlikely]] return reserve_status::filtered;
    return write_in(section.cpu(), type, version, payload, length);
  }

  // The same, for the library itself, which writes records of its own rarely: a call instead of the whole path.
  _IRQL_requires_(PASSIVE_LEVEL)
  void write_own(uint16_t type, const void* payload, uint32_t length);

  // For the library's events, of which the producer asks the filter first (producers/event_decision.h). Room for
  // `length` bytes of payload; the first 8 become the current process and thread, and stay as they are (events
  // of the library begin with event_context). False: there is no room, which is counted. Up to DISPATCH_LEVEL.
  [[nodiscard]] _IRQL_requires_max_(DISPATCH_LEVEL)
  bool reserve_event(uint16_t type, uint32_t length, reservation& held);

  // The same without context and without critical region, for whoever closes a record elsewhere: close() from any thread.
  [[nodiscard]] reserve_status reserve(uint16_t type, uint8_t version, uint32_t length, kernel_record& record,
                                       uint32_t& cpu) {
    if (filter_.is_set() && !filter_.keeps_own(type, nullptr, length)) [[unlikely]] return reserve_status::filtered;
    dispatch_section section;
    cpu = section.cpu();
    return reserve_on(cpu, type, version, length, record, nullptr);
  }
  // Below DISPATCH_LEVEL the caller holds a critical region from reserve to the end of close, as `reservation` does.
  void close(const kernel_record& record, record_state state, uint32_t cpu, uint16_t type) {
    record.close(state);
    after_close(cpu, type);
  }

  // Types are switched at run time; a callback asks before it does anything. Up to DISPATCH_LEVEL.
  bool is_on(uint16_t type) {
    if (types_[type / 32 % 2].load(memory_order::relaxed) >> (type % 32) & 1) [[likely]] return true;
    InterlockedIncrement64(&switched_off_);
    return false;
  }
  void set_types(uint64_t types) {
    const spin_lock_scope lock(types_lock_);
    wanted_types_ = types;
    store_types(wanted_types_ & allowed_types_);
  }
  // One more type, whatever else is on.
  void switch_on(uint16_t type) {
    const spin_lock_scope lock(types_lock_);
    wanted_types_ |= uint64_t{1} << type;
    store_types(wanted_types_ & allowed_types_);
  }
  // Whatever is switched on, no type but these is on until this is called again.
  void allow_types(uint64_t types) {
    const spin_lock_scope lock(types_lock_);
    allowed_types_ = types;
    store_types(wanted_types_ & allowed_types_);
  }
  uint64_t types() const {
    return static_cast<uint64_t>(types_[1].load(memory_order::relaxed)) << 32 | types_[0].load(memory_order::relaxed);
  }
  uint64_t switched_off() { return static_cast<uint64_t>(InterlockedCompareExchange64(&switched_off_, 0, 0)); }

  event_filter& filter() { return filter_; }

  // The consumer's side.
  uint32_t cpu_count() const { return rings_.count(); }  // the most that this machine can have
  // Those that have their rings, from 0 on; only grows. Acquire: their regions are seen.
  uint32_t ready_cpus() const { return ready_cpus_.load(memory_order::acquire); }
  kernel_rings& rings(uint32_t cpu) { return rings_[cpu]; }
  const region_view<native_seam>& region(uint32_t cpu, uint32_t lane) const {
    return views_[cpu * lanes_per_cpu + lane];
  }
  const channel_options& options() const { return options_; }
  // Of options(), in ticks.
  uint64_t step_back() const { return step_back_; }
  wake_line<native_seam>& wake() { return wake_; }
  void set_signal(KEVENT* event) { signal_ = event; }

  // What may be longest, bytes of payload.
  uint32_t max_payload() const { return options_.main.max_record - record_header_size; }

 private:
  friend class reservation;

  [[nodiscard]] SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  NTSTATUS add_cpus(uint32_t count);
  SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL)
  static VOID NTAPI on_processor_change(PVOID context, PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT change, PNTSTATUS status);

  // In the section of `cpu`.
  reserve_status write_in(uint32_t cpu, uint16_t type, uint8_t version, const void* payload, uint32_t length) {
    const reserve_status status = rings_[cpu].write(type, version, payload, length);
    if (status == reserve_status::ok) after_close(cpu, type);
    return status;
  }

  // In the section. A LOSS record that goes in front of the reservation is closed here and now: nobody else would signal it
  // before the reservation's own end (W1).
  reserve_status reserve_on(uint32_t cpu, uint16_t type, uint8_t version, uint32_t length, kernel_record& record,
                            const event_context* context) {
    const bool announces = rings_[cpu].gap_is_open();
    const reserve_status status = rings_[cpu].reserve_out_of_line(type, version, length, record, context);
    if (announces && status == reserve_status::ok) [[unlikely]] after_close(cpu, record_type_loss);
    return status;
  }

  void after_close(uint32_t cpu, uint16_t type) {
    if (const announcement level = wake_.after_close(); level != announcement::running) [[unlikely]] {
      signal(level, cpu, type);
    }
  }
  _IRQL_requires_max_(DISPATCH_LEVEL)
  void signal(announcement level, uint32_t cpu, uint16_t type);

  // Relaxed: a switch takes effect for callbacks that look after it; nothing else depends on it.
  void store_types(uint64_t types) {
    types_[0].store(static_cast<uint32_t>(types), memory_order::relaxed);
    types_[1].store(static_cast<uint32_t>(types >> 32), memory_order::relaxed);
  }

  wake_line<native_seam> wake_;
  event_filter filter_;
  atomic_word types_[2];  // one bit a type
  KSPIN_LOCK types_lock_{};
  uint64_t wanted_types_ = 0;
  uint64_t allowed_types_ = ~uint64_t{0};
  KEVENT* signal_ = nullptr;
  nonpaged_array<kernel_rings> rings_;
  nonpaged_array<region_view<native_seam>> views_;
  nonpaged_array<nonpaged_memory> regions_;
  atomic_word ready_cpus_;
  kernel_functions functions_{};
  PVOID processor_callback_ = nullptr;
  uint64_t frequency_ = 0;
  channel_options options_{};
  uint64_t step_back_ = 0;
  LONG64 switched_off_ = 0;
};

inline void reservation::end(record_state state) {
  if (channel_ == nullptr) return;
  record_.close(state);
  channel_->after_close(cpu_, type_);
  channel_ = nullptr;
  if (in_critical_region_) KeLeaveCriticalRegion();
}

}  // namespace sluice
