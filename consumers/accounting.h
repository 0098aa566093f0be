// The reader's side of R3: what was received, by type and CPU, against what the driver and the callbacks' own source count.
//
//   source of           counted by
//   callbacks raised    the kernel that raised them (given by the caller)
//   attempted, dropped  the driver, where an event asks for room; and filtered: where it is judged, before it asks for any
//   committed, discarded, open   the driver, where it walks the rings
//   received, announced this class, record by record
//
// In overwrite mode what was committed was received, or announced as overwritten; and no more is announced so than the driver
// counts as overwritten before it was given back.
//
// A client that shares the driver with others may have missed records, and is told of those by type (batch_flag_client_loss):
// then committed is what was received and what was missed, over all CPUs.
//
// No figure is derived from another one's source, so each comparison can fail. One thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "consumers/decoded_event.h"
#include "consumers/identity_tracker.h"
#include "consumers/latency_histogram.h"
#include "kernel_port/driver/protocol.h"

namespace sluice {

struct driver_statistics {
  protocol::statistics_header header{};
  std::vector<protocol::statistics_row> rows;
};

// Callbacks that the kernel raised, by event type. A type that is absent was not counted by anybody.
struct raised_callbacks {
  std::map<uint16_t, uint64_t> by_type;
  uint64_t always_on = 0;  // bit n: type n was on from the first callback to the last
};

class accounting {
 public:
  // `now`: the counter that stamps records, when the record was received; `frequency` its ticks per second, 0 if unknown.
  arrival received(const delivered_record& record, uint64_t now, uint64_t frequency);
  // The same record, decoded as a LOSS. After received(), and not for a duplicate.
  void announced(uint16_t cpu, const loss_event& loss);
  void damaged() { ++damaged_records_; }
  // identity_tracker::interrupted.
  void interrupted() { identities_.interrupted(); }
  uint64_t interrupted_bytes() const { return identities_.interrupted_bytes(); }

  uint64_t received_of(uint16_t cpu, uint16_t type) const;
  uint64_t received_of(uint16_t type) const;
  uint64_t announced_of(uint16_t cpu, uint16_t type) const;
  uint64_t received_records() const { return received_records_; }
  // What came of the stream, also what came twice: what a driver counts as delivered to a client.
  uint64_t stream_records() const { return stream_records_; }
  uint64_t announced_events() const;
  // LOSS records of a reader that was overtaken (overwrite mode).
  uint64_t overwritten_of(uint16_t cpu, uint16_t type) const;
  uint64_t overwritten_events() const;
  // What this client alone has missed.
  uint64_t missed_of(uint16_t type) const;
  uint64_t missed_events() const;
  uint64_t late_records() const { return late_records_; }
  // The driver writes them into the rings; who merges mapped rings tells them in its batches.
  uint64_t overdue_records() const { return received_of(record_type_overdue) + overdue_of_stream_; }
  uint64_t duplicates() const { return duplicates_; }
  uint64_t damaged_records() const { return damaged_records_; }
  const latency_histogram& latency() const { return latency_; }

  // Everything that does not add up, one sentence each; empty if R3, and what can be checked with it, holds. At rest: the
  // caller has read until everything committed was received. `raised` may be null.
  // `types`: of others the driver knows more than this reader, which has not asked for them; they are not compared.
  std::vector<std::string> check(const driver_statistics& driver, const raised_callbacks* raised,
                                 uint64_t types = ~uint64_t{0}) const;

  // True if the driver has nothing left for this reader: no open reservation, nothing committed that was not received,
  // nothing dropped that was not announced.
  bool drained(const driver_statistics& driver) const;

 private:
  static uint32_t key(uint16_t cpu, uint16_t type) { return static_cast<uint32_t>(cpu) << 16 | type; }

  // The published figures of a CPU count since load and may come again and again; LOSS records count each gap once. What a
  // reader has been told of is the larger of the two.
  struct announcement_count {
    uint64_t by_records = 0;
    uint64_t by_figures = 0;
  };

  std::unordered_map<uint32_t, uint64_t> received_;
  std::unordered_map<uint32_t, announcement_count> announced_;
  std::unordered_map<uint32_t, uint64_t> overwritten_;
  std::map<uint16_t, uint64_t> missed_;  // by type
  identity_tracker identities_;
  latency_histogram latency_;
  uint64_t received_records_ = 0;
  uint64_t stream_records_ = 0;
  uint64_t late_records_ = 0;
  uint64_t overdue_of_stream_ = 0;
  uint64_t duplicates_ = 0;
  uint64_t out_of_order_ = 0;  // older than what came before, and not marked late
  uint64_t damaged_records_ = 0;
  uint64_t newest_time_ = 0;
};

}  // namespace sluice
