#include "consumers/event_reader.h"

#include <fmt/format.h>

#include <utility>

namespace sluice {

void event_reader::learn(const protocol::capabilities& about, std::span<const uint8_t> own_types) {
  clock_.set_offset(about.clock_offset);
  if (about.clock_frequency != 0) {
    clock_.set_frequency(about.clock_frequency);
    if (about.anchor_utc != 0) clock_.set_anchor({about.anchor_counter, about.clock_frequency, about.anchor_utc});
  }
  std::string error;
  decoder_.types().learn_all(own_types, error);
  if (!error.empty()) faults_.push_back("own types: " + error);
}

void event_reader::begin(std::span<const uint8_t> bytes, uint64_t received_at) {
  received_at_ = received_at;
  ++batches_;
  reader_ = batch_reader(bytes);
  reading_ = true;
  batch_empty_ = true;
  // A transport delivers one batch at a time: bytes behind it would be events that nobody reads.
  if (reader_.status() == batch_status::ok && reader_.total_bytes() != bytes.size()) {
    ++faulty_batches_;
    faults_.push_back(fmt::format("batch {}: {} bytes were read, its header says {}", batches_, bytes.size(),
                                  reader_.total_bytes()));
  }
  if (reader_.clock_frequency() != 0) clock_.set_frequency(reader_.clock_frequency());
}

bool event_reader::take(delivered_record& record) {
  while (reading_) {
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
    if (!record.figures || record.of_stream) batch_empty_ = false;
    const uint64_t frequency = received_at_ == 0 ? 0 : reader_.clock_frequency();  // without a moment there is no latency
    if (account_.received(record, clock_.time_of_counter(received_at_), frequency) != arrival::duplicate) return true;
  }
  return false;
}

const decoded_event* event_reader::next() {
  delivered_record record;
  if (!take(record)) return nullptr;
  event_ = decoder_.decode(record);
  note(event_);
  return &event_;
}

bool event_reader::next_record(delivered_record& record) {
  if (!take(record)) return false;
  if (record.type < first_event_type) note(decoder_.decode(record));
  return true;
}

void event_reader::note(const decoded_event& event) {
  if (const auto* anchor = std::get_if<anchor_event>(&event.body)) {
    clock_.set_anchor(*anchor);
  } else if (const auto* epoch = std::get_if<epoch_event>(&event.body)) {
    clock_.set_offset(epoch->offset);
  } else if (const auto* loss = std::get_if<loss_event>(&event.body)) {
    account_.announced(event.identity.cpu, *loss);
  } else if (std::holds_alternative<damaged_event>(event.body)) {
    account_.damaged();
    faults_.push_back(describe_damage(event, decoder_));
  }
}

std::vector<std::string> event_reader::take_faults() { return std::exchange(faults_, {}); }

}  // namespace sluice
