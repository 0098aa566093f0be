// What a client reads: the events of a source, typed, one after another, whatever transport carries them.
//
//   sluice::event_stream stream(source);
//   while (const sluice::decoded_event* event = stream.next(std::chrono::milliseconds(100))) { ... }
//
// Behind it stands event_reader.h. Duplicates are dropped and counted. One
// thread at a time; throws what the source throws, and std::bad_alloc.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "consumers/event_reader.h"
#include "consumers/event_source.h"

namespace sluice {

class event_stream {
 public:
  // Asks the source for its own types and its clock.
  explicit event_stream(event_source& source, size_t buffer_bytes = 256 * 1024);

  // The next event, valid until the next call; null: nothing came in time, an empty batch came, or the source was
  // cancelled (see last_read). With a timeout of 0 it gives what the current batch still holds, and reads nothing.
  const decoded_event* next(std::chrono::nanoseconds timeout);

  // What the source said when it was asked last.
  read_status last_read() const { return last_read_; }
  bool batch_finished() const { return reader_.finished(); }

  // A batch that contradicts itself is given up where it does; what stood before it was given out. Each is described once.
  std::vector<std::string> take_faults() { return reader_.take_faults(); }
  uint64_t faulty_batches() const { return reader_.faulty_batches(); }
  uint64_t batches() const { return reader_.batches(); }

  const decoder& names() const { return reader_.names(); }
  const stream_clock& clock() const { return reader_.clock(); }
  const accounting& account() const { return reader_.account(); }

 private:
  bool read_batch(std::chrono::nanoseconds timeout);

  event_source& source_;
  std::vector<uint8_t> buffer_;
  event_reader reader_;
  read_status last_read_ = read_status::timeout;
};

}  // namespace sluice
