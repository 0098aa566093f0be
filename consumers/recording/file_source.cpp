#include "consumers/recording/file_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace sluice::recording {

void file_source::survey::note(const block_place& place, const file_source& of) {
  if (place.header.kind == block_kind::types) types.push_back(place.offset);
  if (place.header.kind != block_kind::events || !of.may_hold(place.header)) return;
  if (!first || place.offset < first->offset) first = place;
}

file_source::file_source(const std::string& path) : reader_(path), types_(reader_.types()) {
  survey found = look_over();
  std::sort(found.types.begin(), found.types.end());
  for (const uint64_t offset : found.types) {
    reader_.go_to(offset);
    if (const auto place = reader_.next(); place && place->header.kind == block_kind::types) {
      const std::span<const uint8_t> declarations = reader_.content(*place);
      types_.insert(types_.end(), declarations.begin(), declarations.end());
    }
  }
  (void)reader_.take_faults();  // they come again where the records are read
  reader_.go_to_start();
}

// By the index; where there is none, by every block's header.
file_source::survey file_source::look_over() {
  survey found;
  if (reader_.for_each_indexed([&](const block_place& place) { found.note(place, *this); })) return found;
  found = {};
  reader_.go_to_start();
  while (const auto place = reader_.next()) found.note(*place, *this);
  (void)reader_.take_faults();
  return found;
}

bool file_source::may_hold(const block_header& header) const {
  if (header.anchor.frequency == 0 || (header.flags & block_flag_clock_changes) != 0) return true;
  stream_clock clock;
  clock.set_anchor({header.anchor.counter, header.anchor.frequency, header.anchor.utc});
  const std::optional<uint64_t> first = clock.utc(header.first_time), last = clock.utc(header.last_time);
  if (!first || !last) return true;
  return !(window_.from && *last < *window_.from) && !(window_.to && *first >= *window_.to);
}

void file_source::select(const time_window& window) {
  window_ = window;
  start_anchor_ = {};
  content_ = {};
  left_out_ = false;
  if (window.whole()) {
    reader_.go_to_start();
    return;
  }
  const survey found = look_over();
  if (found.first) {
    reader_.go_to(found.first->offset);
    start_anchor_ = found.first->header.anchor;
  } else {
    reader_.go_to(reader_.file_bytes());
  }
}

std::optional<uint64_t> file_source::first_utc() {
  const time_window asked = std::exchange(window_, {});
  const survey found = look_over();
  window_ = asked;
  select(asked);
  if (!found.first || found.first->header.anchor.frequency == 0) return std::nullopt;
  const block_header& header = found.first->header;
  stream_clock clock;
  clock.set_anchor({header.anchor.counter, header.anchor.frequency, header.anchor.utc});
  return clock.utc(header.first_time);
}

bool file_source::next_block() {
  while (const auto place = reader_.next()) {
    if (place->header.kind != block_kind::events) continue;
    if (!may_hold(place->header)) continue;
    if (place->header.anchor.frequency != 0) {
      clock_.set_anchor(
          {place->header.anchor.counter, place->header.anchor.frequency, place->header.anchor.utc});
    }
    content_ = reader_.content(*place);
    place_ = *place;
    if (!content_.empty()) return true;
  }
  return false;
}

read_result file_source::read(std::span<uint8_t> buffer, std::chrono::nanoseconds) {
  for (;;) {
    if (content_.empty() && !next_block()) return {read_status::end, 0};
    batch_reader batch(content_);
    if (batch.status() != batch_status::ok || batch.total_bytes() > buffer.size()) {
      damaged_ = true;
      faults_.push_back(fmt::format(
          "block {} at offset {}: {}; the rest of the block is given up", place_.header.sequence,
          place_.offset,
          batch.status() == batch_status::ok ? "a batch that is too long" : name_of(batch.status())));
      content_ = {};
      continue;
    }
    const size_t bytes = selects() ? copy_selected(batch, buffer) : batch.total_bytes();
    if (!selects()) std::memcpy(buffer.data(), content_.data(), bytes);
    content_ = content_.subspan(std::min<uint64_t>(padded(batch.total_bytes()), content_.size()));
    if (bytes != 0) return {read_status::batch, bytes};
  }
}

// The batch with the records that were asked for; 0: there is none. A record that contradicts its batch ends
// it, and the count in the header then tells whoever reads it.
size_t file_source::copy_selected(batch_reader& batch, std::span<uint8_t> buffer) {
  batch_header header;
  std::memcpy(&header, content_.data(), sizeof header);
  header.header_bytes = sizeof header;
  size_t end = sizeof header;
  uint32_t records = 0;
  delivered_record record;
  batch_status status;
  while ((status = batch.next(record)) == batch_status::ok) {
    if (!wanted(record)) {
      left_out_ = true;
      continue;
    }
    const size_t bytes = batch_overhead(record_header_size + record.payload_length);
    std::memcpy(buffer.data() + end, record.payload - record_header_size - sizeof(batch_entry), bytes);
    end += bytes;
    ++records;
  }
  if (status != batch_status::end)
    ++records;  // one more than there are: the reader meets the fault here, too
  header.total_bytes = static_cast<uint32_t>(end);
  header.record_count = records;
  std::memcpy(buffer.data(), &header, sizeof header);
  return records == 0 ? 0 : end;
}

bool file_source::wanted(const delivered_record& record) {
  if (record.type == record_type_anchor && record.payload_length >= sizeof(anchor_payload)) {
    anchor_payload anchor;
    std::memcpy(&anchor, record.payload, sizeof anchor);
    if (anchor.frequency != 0) clock_.set_anchor({anchor.counter, anchor.frequency, anchor.utc});
    return true;  // the times of what follows need it, whatever its own
  }
  if (record.type >= first_event_type && record.type < 64 && (selected_types_ >> record.type & 1) == 0)
    return false;
  if (window_.whole()) return true;
  const std::optional<uint64_t> utc = clock_.utc(record.time);
  return !utc || (!(window_.from && *utc < *window_.from) && !(window_.to && *utc >= *window_.to));
}

protocol::capabilities file_source::capabilities() {
  protocol::capabilities answer = reader_.capabilities();
  if (start_anchor_.frequency != 0) {
    answer.anchor_counter = start_anchor_.counter;
    answer.anchor_utc = start_anchor_.utc;
    answer.clock_frequency = start_anchor_.frequency;
  }
  return answer;
}

driver_statistics file_source::statistics() {
  const std::optional<recording_end>& end = reader_.end();
  return end ? end->statistics : driver_statistics{};
}

std::vector<std::string> file_source::take_faults() {
  std::vector<std::string> all = reader_.take_faults();
  if (!all.empty()) damaged_ = true;
  all.insert(all.end(), faults_.begin(), faults_.end());
  faults_.clear();
  return all;
}

}  // namespace sluice::recording
