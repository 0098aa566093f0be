// From batches to events: takes one batch after another apart, drops what was there before, keeps the account and the clock.
//
// Whoever has batches gives them in; event_stream (a source's batches) and client (consumers/client/client.h) are made of it.
// One thread at a time; throws std::bad_alloc only.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "consumers/accounting.h"
#include "consumers/batch_reader.h"
#include "consumers/decoder.h"
#include "consumers/stream_clock.h"

namespace sluice {

class event_reader {
 public:
  // What a driver says of itself when it is asked: its clock, and the declarations of its own types (protocol::code_types).
  void learn(const protocol::capabilities& about, std::span<const uint8_t> own_types);

  // The next batch; `bytes` stay where they are until all of it was read. `received_at`: the counter when it came, 0: nobody knows.
  void begin(std::span<const uint8_t> bytes, uint64_t received_at);
  bool finished() const { return !reading_; }
  // So far it had no record of a ring, new or not, and nothing about the stream; figures of what was dropped do not count.
  bool batch_was_empty() const { return batch_empty_; }

  // The batch's next record, for the first time: null, false: it has no more. An event is valid until the next call.
  const decoded_event* next();
  // The same, and the payload is not looked at, unless it describes the stream. What points into the batch stays as long as that.
  bool next_record(delivered_record& record);

  // The connection was lost here, and another one goes on with the same driver's stream: places that never come from here on were
  // missed meanwhile, as far as their rings have been seen (accounting::interrupted_bytes).
  void interrupted() { account_.interrupted(); }

  // A batch that contradicts itself is given up where it does; what stood before it was given out. Each is described once.
  std::vector<std::string> take_faults();
  uint64_t faulty_batches() const { return faulty_batches_; }
  uint64_t batches() const { return batches_; }

  decoder& names() { return decoder_; }
  const decoder& names() const { return decoder_; }
  const stream_clock& clock() const { return clock_; }
  const accounting& account() const { return account_; }

 private:
  bool take(delivered_record& record);
  void note(const decoded_event& event);

  batch_reader reader_{{}};
  bool reading_ = false;
  bool batch_empty_ = true;
  uint64_t received_at_ = 0;
  decoder decoder_;
  stream_clock clock_;
  accounting account_;
  decoded_event event_;
  std::vector<std::string> faults_;
  uint64_t faulty_batches_ = 0;
  uint64_t batches_ = 0;
};

}  // namespace sluice
