// The ledger of one CPU: its account (R3) and the gap that is not announced yet (R4). Both lanes of the CPU share it.
//
// Private to the kernel. Every member runs in the CPU's section (DISPATCH_LEVEL on that CPU), so no counter is shared: the
// only words that another side reads are the published loss figures. Freestanding.
#pragma once

#include "pipeline/account.h"
#include "pipeline/loss.h"
#include "pipeline/order.h"
#include "pipeline/region.h"

namespace sluice {

template <class seam>
class ledger {
 public:
  void attach(loss_figures<seam>* figures) { figures_ = figures; }

  SLUICE_ALWAYS_INLINE void attempt(uint32_t type) { ++rows_[type].attempted; }

  // The ring's private cursor passes a closed record.
  void pass(uint32_t type, record_state state) {
    if (state == record_state::committed) {
      ++rows_[type].committed;
    } else {
      ++rows_[type].discarded;
    }
  }

  // The tail passes a committed record that the consumer has not given back (overwrite mode).
  void overwrite(uint32_t type) { ++rows_[type].overwritten; }

  // An event found no room. It joins the gap, and the figures are published at once.
  SLUICE_NEVER_INLINE void drop(uint32_t type, drop_reason reason, uint64_t bytes, uint64_t now) {
    ++rows_[type].dropped[static_cast<uint32_t>(reason)];
    if (gap_entries_ == 0) first_time_ = now;
    if (gap_[type]++ == 0) ++gap_entries_;
    last_time_ = now;
    gap_bytes_ += bytes;
    ++gap_events_;
    all_bytes_ += bytes;
    ++all_events_;
    ++all_dropped_[type];
    publish_figures(type);
  }

  // What a LOSS record in front of the next event takes; 0 while nothing is missing.
  SLUICE_ALWAYS_INLINE bool gap_is_open() const { return gap_entries_ != 0; }
  uint32_t loss_length() const {
    return record_header_size + static_cast<uint32_t>(sizeof(loss_payload) + gap_entries_ * sizeof(loss_entry));
  }

  // Writes the payload of the LOSS record and closes the gap: the record that announces it has its place.
  SLUICE_NEVER_INLINE void write_loss(const typename seam::memory& data, uint32_t offset) {
    put64(data, offset + 0, first_time_);
    put64(data, offset + 8, last_time_);
    put64(data, offset + 16, gap_bytes_);
    put64(data, offset + 24, gap_events_);
    data.store(offset + 32, gap_entries_);
    data.store(offset + 36, 0);
    uint32_t entry = offset + sizeof(loss_payload);
    for (uint32_t type = 0; type < seam::types; ++type) {
      if (gap_[type] == 0) continue;
      data.store(entry + 0, type);
      data.store(entry + 4, 0);
      put64(data, entry + 8, gap_[type]);
      entry += sizeof(loss_entry);
      gap_[type] = 0;
    }
    gap_entries_ = 0;
    gap_bytes_ = 0;
    gap_events_ = 0;
  }

  const account_row& row(uint32_t type) const { return rows_[type]; }
  // What LOSS records have told of.
  uint64_t announced_events() const { return all_events_ - gap_events_; }

 private:
  static void put64(const typename seam::memory& data, uint32_t offset, uint64_t value) {
    data.store(offset, static_cast<uint32_t>(value));
    data.store(offset + 4, static_cast<uint32_t>(value >> 32));
  }
  static void publish64(typename seam::word (&words)[2], uint64_t value) {
    words[0].store(static_cast<uint32_t>(value), order::publish_loss);
    words[1].store(static_cast<uint32_t>(value >> 32), order::publish_loss);
  }

  void publish_figures(uint32_t type) {
    loss_figures<seam>& figures = *figures_;
    // Relaxed: odd becomes visible no later than the first word below, which is a release (SYNC POINT publish_loss).
    figures.sequence.store(++sequence_, memory_order::relaxed);
    publish64(figures.first_time, first_time_);
    publish64(figures.last_time, last_time_);
    publish64(figures.bytes, all_bytes_);
    publish64(figures.events, all_events_);
    figures.dropped[type].store(all_dropped_[type], order::publish_loss);
    figures.sequence.store(++sequence_, order::publish_loss);
  }

  // The open gap: since the last LOSS record.
  uint32_t gap_entries_ = 0;
  uint32_t sequence_ = 0;
  loss_figures<seam>* figures_ = nullptr;
  uint64_t first_time_ = 0;
  uint64_t last_time_ = 0;
  uint64_t gap_bytes_ = 0;
  uint64_t gap_events_ = 0;

  account_row rows_[seam::types] = {};
  uint64_t gap_[seam::types] = {};

  // Since load.
  uint64_t all_bytes_ = 0;
  uint64_t all_events_ = 0;
  uint32_t all_dropped_[seam::types] = {};  // mod 2^32, as published
};

// A reader's copy of the figures.
struct loss_summary {
  uint64_t first_time = 0;
  uint64_t last_time = 0;
  uint64_t bytes = 0;
  uint64_t events = 0;
  uint32_t dropped[max_record_types] = {};
};

// Reads the figures as one. False: the producer was writing; the caller tries again later. Any thread, any IRQL.
template <class seam>
[[nodiscard]] bool read_loss_figures(loss_figures<seam>& figures, loss_summary& summary) {
  const auto observe64 = [](typename seam::word(&words)[2]) {
    const uint64_t low = words[0].load(order::observe_loss);
    return static_cast<uint64_t>(words[1].load(order::observe_loss)) << 32 | low;
  };
  const uint32_t before = figures.sequence.load(order::observe_loss);
  if (before & 1) return false;
  summary.first_time = observe64(figures.first_time);
  summary.last_time = observe64(figures.last_time);
  summary.bytes = observe64(figures.bytes);
  summary.events = observe64(figures.events);
  for (uint32_t type = 0; type < seam::types; ++type) {
    summary.dropped[type] = figures.dropped[type].load(order::observe_loss);
  }
  // Relaxed: every load above is an acquire, so this one comes after them.
  return figures.sequence.load(memory_order::relaxed) == before;
}

// The same in the stream's time, counter + `offset`, which is `now`: times of an epoch that is over cannot be told apart, and
// are no later than now. False: the CPU drops without pause; later.
template <class seam>
[[nodiscard]] bool read_loss_figures(loss_figures<seam>& figures, uint64_t offset, uint64_t now, loss_summary& summary) {
  uint32_t attempts = 0;
  while (!read_loss_figures(figures, summary)) {
    if (++attempts == 1000) return false;
  }
  if (offset == 0) return true;
  const auto in_stream = [=](uint64_t counter) { return counter + offset < now ? counter + offset : now; };
  summary.first_time = in_stream(summary.first_time);
  summary.last_time = in_stream(summary.last_time);
  return true;
}

}  // namespace sluice
