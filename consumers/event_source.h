// Where batches come from. One implementation per transport; nothing above this interface knows which one it reads.
//
// One thread reads; flush and cancel may be called from any other. Failures that are not part of reading are exceptions.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "consumers/accounting.h"
#include "consumers/nt/status.h"
#include "kernel_port/driver/protocol.h"
#include "producers/filter_message.h"

namespace sluice {

// What failed, with the status that the kernel gave.
class source_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The same, with the status by itself.
class nt_error : public source_error {
 public:
  nt_error(const std::string& what, nt_status status) : source_error(what), status_(status) {}
  nt_status status() const { return status_; }

 private:
  nt_status status_;
};

enum class read_status {
  batch,      // `bytes` of the buffer hold a batch; it may be empty
  timeout,    // nothing was ready in time; nothing is lost
  cancelled,  // cancel() was called
  end,        // nothing will ever come again: a recording was read to its end
};

struct read_result {
  read_status status;
  size_t bytes;
};

class event_source {
 public:
  virtual ~event_source() = default;

  // Buffers shorter than this are refused.
  virtual size_t least_buffer() const = 0;
  virtual read_result read(std::span<uint8_t> buffer, std::chrono::nanoseconds timeout) = 0;
  virtual protocol::capabilities capabilities() = 0;
  virtual driver_statistics statistics() = 0;
  // Declarations of own types, as protocol::code_types gives them (consumers/type_registry.h reads them).
  virtual std::vector<uint8_t> types() = 0;
  // Bit n: produce type n. Bits that the capabilities lack are refused.
  virtual void set_types(uint64_t types) = 0;
  // A filter (producers/filter_message.h), in force for every event that begins after the answer. Throws source_error where
  // no driver is behind the source, and where the driver knows no filters.
  virtual filter_answer set_filter(std::span<const uint8_t> message);
  // The same, without one; and the one that is in force now, as it was set.
  virtual filter_answer clear_filter();
  virtual std::vector<uint8_t> filter(filter_state& state);
  // Of the driver's clients this one alone: its choice of types, as set_types, its filter, and its row in the driver's account.
  // Throws source_error where the transport has one client anyway.
  virtual void set_own_types(uint64_t types);
  virtual filter_answer set_own_filter(std::span<const uint8_t> message);
  virtual void clear_own_filter();
  virtual protocol::client_row own_row();
  // Records that this source's own merge has marked late: the driver's statistics count those of the driver's merge. By who reads.
  virtual uint64_t merged_late_records() const { return 0; }
  // One piece of a copy of a ring (protocol::code_copy_ring) into `answer`; returns its bytes, 0 if that CPU does not run yet. Any
  // thread. Throws source_error, also where no driver is behind the source.
  virtual size_t copy_ring(const protocol::ring_copy_request& request, std::span<uint8_t> answer);
  // The pending read, or the next, ends with what is final now, even if that is nothing.
  virtual void flush() = 0;
  // Ends a pending read; it returns `cancelled` or what it had.
  virtual void cancel() = 0;
  // The counter that stamps records, now. 0: nobody knows, as with a recording.
  virtual uint64_t now() = 0;
};

inline filter_answer event_source::set_filter(std::span<const uint8_t>) {
  throw source_error("a filter is the driver's work, and there is no driver behind this source");
}

inline filter_answer event_source::clear_filter() { return set_filter({}); }

inline std::vector<uint8_t> event_source::filter(filter_state&) {
  throw source_error("a filter is the driver's work, and there is no driver behind this source");
}

inline void event_source::set_own_types(uint64_t) { throw source_error("types are chosen for each client only over the port"); }

inline filter_answer event_source::set_own_filter(std::span<const uint8_t>) {
  throw source_error("a client has a filter of its own only over the port");
}

inline void event_source::clear_own_filter() { throw source_error("a client has a filter of its own only over the port"); }

inline protocol::client_row event_source::own_row() {
  throw source_error("each client has an account in the driver only over the port");
}

inline size_t event_source::copy_ring(const protocol::ring_copy_request&, std::span<uint8_t>) {
  throw source_error("a snapshot is of a driver's rings, and there is no driver behind this source");
}

}  // namespace sluice
