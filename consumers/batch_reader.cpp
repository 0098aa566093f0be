#include "consumers/batch_reader.h"

#include <cstring>

namespace sluice {

batch_reader::batch_reader(std::span<const uint8_t> buffer_untrusted) : buffer_(buffer_untrusted) {
  batch_header header{};
  if (check_header(header) != batch_status::ok) return;
  header_ = header;
  buffer_ = buffer_.first(header.total_bytes);
  offset_ = header.header_bytes;
}

batch_status batch_reader::check_header(batch_header& header) {
  if (buffer_.size() < sizeof(batch_header)) return fail(batch_status::too_short, buffer_.size());
  std::memcpy(&header, buffer_.data(), sizeof(header));
  if (header.magic != batch_magic) return fail(batch_status::wrong_magic, offsetof(batch_header, magic));
  if (header.version != batch_version) return fail(batch_status::wrong_version, offsetof(batch_header, version));
  if (header.total_bytes > buffer_.size() || header.total_bytes < sizeof(batch_header)) {
    return fail(batch_status::wrong_length, offsetof(batch_header, total_bytes));
  }
  if (header.header_bytes < sizeof(batch_header) || header.header_bytes > header.total_bytes ||
      header.header_bytes % record_alignment != 0) {
    return fail(batch_status::wrong_length, offsetof(batch_header, header_bytes));
  }
  return batch_status::ok;
}

batch_status batch_reader::next(delivered_record& record) {
  if (status_ != batch_status::ok) return status_;
  const size_t left = buffer_.size() - offset_;
  if (left == 0) {
    if (records_read_ != header_.record_count) {
      return fail(batch_status::wrong_length, offsetof(batch_header, record_count));
    }
    return status_ = batch_status::end;
  }
  // More bytes than records: what follows is not a record that the writer counted.
  if (records_read_ == header_.record_count) return fail(batch_status::wrong_length, offset_);
  if (left < sizeof(batch_entry) + record_header_size) return fail(batch_status::wrong_entry, offset_);

  batch_entry entry;
  std::memcpy(&entry, buffer_.data() + offset_, sizeof(entry));
  if (entry.entry_bytes > left || entry.entry_bytes < sizeof(batch_entry) + record_header_size ||
      entry.entry_bytes % record_alignment != 0) {
    return fail(batch_status::wrong_entry, offset_ + offsetof(batch_entry, entry_bytes));
  }
  if (entry.lane >= lanes_per_cpu) return fail(batch_status::wrong_entry, offset_ + offsetof(batch_entry, lane));
  if (entry.position % record_alignment != 0) {
    return fail(batch_status::wrong_entry, offset_ + offsetof(batch_entry, position));
  }

  const size_t record_offset = offset_ + sizeof(batch_entry);
  record_header header;
  std::memcpy(&header, buffer_.data() + record_offset, sizeof(header));
  const uint32_t length = length_of(header.state_and_length);
  if (state_of(header.state_and_length) != record_state::committed || length < record_header_size ||
      batch_overhead(length) != entry.entry_bytes) {
    return fail(batch_status::wrong_record, record_offset + offsetof(record_header, state_and_length));
  }

  record.identity = {header_.boot, entry.position, entry.cpu, entry.lane};
  record.time = time_of(header);
  record.type = header.type;
  record.version = header.version;
  record.record_flags = header.flags;
  record.late = (entry.flags & batch_flag_late) != 0;
  record.figures = (entry.flags & batch_flag_figures) != 0;
  record.of_stream = (entry.flags & batch_flag_stream) != 0;
  record.overwritten = (entry.flags & batch_flag_overwritten) != 0;
  record.client_loss = (entry.flags & batch_flag_client_loss) != 0;
  record.payload = buffer_.data() + record_offset + record_header_size;
  record.payload_length = length - record_header_size;
  offset_ += entry.entry_bytes;
  ++records_read_;
  return batch_status::ok;
}

}  // namespace sluice
