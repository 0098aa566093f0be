#include "consumers/event_stream.h"

#include <algorithm>

namespace sluice {

event_stream::event_stream(event_source& source, size_t buffer_bytes)
    : source_(source), buffer_(std::max(buffer_bytes, source.least_buffer())) {
  reader_.learn(source.capabilities(), source.types());
}

const decoded_event* event_stream::next(std::chrono::nanoseconds timeout) {
  if (const decoded_event* const event = reader_.next()) return event;
  return timeout.count() > 0 && read_batch(timeout) ? reader_.next() : nullptr;
}

bool event_stream::read_batch(std::chrono::nanoseconds timeout) {
  const read_result result = source_.read(buffer_, timeout);
  last_read_ = result.status;
  if (result.status != read_status::batch) return false;
  reader_.begin(std::span<const uint8_t>(buffer_).first(std::min(result.bytes, buffer_.size())), source_.now());
  return true;
}

}  // namespace sluice
