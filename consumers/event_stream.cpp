#include "consumers/event_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace sluice {

event_stream::event_stream(event_source& source, size_t buffer_bytes)
    : source_(source), buffer_(std::max(buffer_bytes, source.least_buffer())), reader_({}) {
  const protocol::capabilities about = source.capabilities();
  clock_.set_offset(about.clock_offset);
  if (about.clock_frequency != 0) {
    clock_.set_frequency(about.clock_frequency);
    if (about.anchor_utc != 0) clock_.set_anchor({about.anchor_counter, about.clock_frequency, about.anchor_utc});
  }
  std::string error;
  decoder_.types().learn_all(source.types(), error);
  if (!error.empty()) faults_.push_back("own types: " + error);
}

const decoded_event* event_stream::next(std::chrono::nanoseconds timeout) {
  if (take_record()) return &event_;
  if (timeout.count() <= 0 || !read_batch(timeout)) return nullptr;
  return take_record() ? &event_ : nullptr;
}

bool event_stream::read_batch(std::chrono::nanoseconds timeout) {
  const read_result result = source_.read(buffer_, timeout);
  last_read_ = result.status;
  if (result.status != read_status::batch) return false;
  received_at_ = source_.now();
  ++batches_;
  reader_ = batch_reader(std::span<const uint8_t>(buffer_).first(std::min(result.bytes, buffer_.size())));
  reading_ = true;
  // A transport delivers one batch at a time: bytes behind it would be events that nobody reads.
  if (reader_.status() == batch_status::ok && reader_.total_bytes() != result.bytes) {
    ++faulty_batches_;
    faults_.push_back(fmt::format("batch {}: {} bytes were read, its header says {}", batches_, result.bytes,
                                  reader_.total_bytes()));
  }
  if (reader_.clock_frequency() != 0) clock_.set_frequency(reader_.clock_frequency());
  return true;
}

bool event_stream::take_record() {
  while (reading_) {
    delivered_record record;
    const batch_status status = reader_.next(record);
    if (status != batch_status::ok) {
      reading_ = false;
      if (status != batch_status::end) {
        ++faulty_batches_;
        faults_.push_back(fmt::format("batch {}: {} at offset {}; the rest of the batch is given up", batches_,
                                      name_of(status), reader_.fault_offset()));
      }
      return false;
    }
    const uint64_t frequency = received_at_ == 0 ? 0 : reader_.clock_frequency();  // without a moment there is no latency
    if (account_.received(record, clock_.time_of_counter(received_at_), frequency) == arrival::duplicate) continue;
    event_ = decoder_.decode(record);
    if (const auto* anchor = std::get_if<anchor_event>(&event_.body)) {
      clock_.set_anchor(*anchor);
    } else if (const auto* epoch = std::get_if<epoch_event>(&event_.body)) {
      clock_.set_offset(epoch->offset);
    } else if (const auto* loss = std::get_if<loss_event>(&event_.body)) {
      account_.announced(record.identity.cpu, *loss);
    } else if (std::holds_alternative<damaged_event>(event_.body)) {
      account_.damaged();
      faults_.push_back(describe_damage(event_, decoder_));
    }
    return true;
  }
  return false;
}

std::vector<std::string> event_stream::take_faults() { return std::exchange(faults_, {}); }

}  // namespace sluice
