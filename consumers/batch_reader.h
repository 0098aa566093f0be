// Reads one batch (pipeline/batch.h) out of memory that somebody else wrote.
//
// Every field is checked before it is used, and nothing outside the buffer is ever read. A fault ends the batch at the
// place where it stands; records given out before it stay usable. Any thread, one at a time; never throws, never
// allocates. The buffer must outlive the records: their payloads point into it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "pipeline/batch.h"

namespace sluice {

class batch_reader {
 public:
  // The buffer may be longer than the batch: total_bytes() says where the batch ends. It needs no alignment.
  explicit batch_reader(std::span<const uint8_t> buffer_untrusted);

  // ok: `record` is the next one. end: there is none. Anything else is a fault, given again by each later call.
  [[nodiscard]] batch_status next(delivered_record& record);

  // ok until the end or a fault was met; the constructor has checked the header already.
  batch_status status() const { return status_; }
  // Where in the buffer the field stands that was at fault. Meaningful after a fault only.
  size_t fault_offset() const { return fault_offset_; }

  // Of the batch's header; 0 if the header was at fault. A frequency of 0 means that the writer did not know it.
  uint64_t boot() const { return header_.boot; }
  uint64_t clock_frequency() const { return header_.clock_frequency; }
  uint32_t record_count() const { return header_.record_count; }
  uint32_t total_bytes() const { return header_.total_bytes; }

 private:
  batch_status fail(batch_status status, size_t offset) {
    status_ = status;
    fault_offset_ = offset;
    return status;
  }
  batch_status check_header(batch_header& header);

  std::span<const uint8_t> buffer_;
  batch_header header_{};
  batch_status status_ = batch_status::ok;
  size_t fault_offset_ = 0;
  size_t offset_ = 0;
  uint32_t records_read_ = 0;
};

}  // namespace sluice
