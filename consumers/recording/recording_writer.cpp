#include "consumers/recording/recording_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "consumers/batch_reader.h"

namespace sluice::recording {
namespace {

void append(std::vector<uint8_t>& to, std::span<const uint8_t> bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

void append_padded(std::vector<uint8_t>& to, std::span<const uint8_t> bytes) {
  append(to, bytes);
  to.resize(padded(to.size()));
}

std::span<const uint8_t> bytes_of_text(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace

recording_writer::recording_writer(output_file& to, const about_recording& about, size_t block_bytes)
    : to_(to), file_id_(about.file_id), cpu_count_(about.capabilities.cpu_count), block_bytes_(block_bytes) {
  const protocol::capabilities& capabilities = about.capabilities;
  if (capabilities.clock_frequency != 0 && capabilities.anchor_utc != 0) {
    anchor_ = {capabilities.anchor_counter, capabilities.clock_frequency, capabilities.anchor_utc};
  }
  recording_header header{};
  std::memcpy(header.magic, header_magic, sizeof header.magic);
  header.version = format_version;
  header.header_bytes = sizeof header;
  header.file_id = about.file_id;
  header.boot = capabilities.boot;
  header.created_utc = about.created_utc;
  header.checksum = checksum_of(header);

  std::vector<uint8_t> content;
  const about_content layout{sizeof capabilities, static_cast<uint32_t>(about.types.size()),
                             static_cast<uint32_t>(about.title.size()), 0};
  append(content, bytes_of(layout));
  append_padded(content, bytes_of(capabilities));
  append_padded(content, about.types);
  append_padded(content, bytes_of_text(about.title));

  error_ = to_.write(0, bytes_of(header));
  if (error_ == 0) {
    offset_ = sizeof header;
    write_block(block_kind::about, content);
  }
  if (error_ != 0) throw std::system_error(error_, std::generic_category(), "cannot begin the recording");
}

bool recording_writer::add(std::span<const uint8_t> batch_untrusted) {
  batch_reader reader(batch_untrusted);
  if (reader.status() != batch_status::ok || reader.total_bytes() > max_batch_bytes) return false;
  const std::span<const uint8_t> batch = batch_untrusted.first(reader.total_bytes());
  if (reader.record_count() == 0) return true;
  if (open_.content.size() + batch.size() > block_bytes_) write_events();
  if (error_ != 0) {
    records_not_stored_ += reader.record_count();
    return false;
  }
  if (open_.records == 0) {
    open_.since = std::chrono::steady_clock::now();
    open_.anchor = anchor_;
  }
  delivered_record record;
  batch_status status;
  while ((status = reader.next(record)) == batch_status::ok) note(record);
  append_padded(open_.content, batch);
  look_at_clock();
  return status == batch_status::end;
}

void recording_writer::note(const delivered_record& record) {
  open_.first_time = open_.records == 0 ? record.time : std::min(open_.first_time, record.time);
  open_.last_time = std::max(open_.last_time, record.time);
  ++open_.records;
  const std::span<const uint8_t> payload(record.payload, record.payload_length);
  if (record.type == record_type_type_declaration) {
    note_declaration(payload);
  } else if (record.type == record_type_anchor && payload.size() >= sizeof anchor_) {
    anchor_payload anchor;
    std::memcpy(&anchor, payload.data(), sizeof anchor);
    if (anchor.frequency == 0) return;
    open_.clock_changes = true;
    anchor_ = anchor;
  }
}

void recording_writer::note_declaration(std::span<const uint8_t> payload) {
  // As code_types gives them: one after another, each padded to 8. What is wrong with it, its reader says.
  type_declaration_payload layout;
  if (payload.size() < sizeof layout) return;
  std::memcpy(&layout, payload.data(), sizeof layout);
  const uint64_t bytes = sizeof layout + uint64_t{layout.field_count} * sizeof(field_declaration);
  if (layout.field_count > max_fields || bytes > payload.size()) return;
  append_padded(new_types_, payload.first(bytes));
}

void recording_writer::look_at_clock() {
  if (open_.records != 0 && std::chrono::steady_clock::now() - open_.since >= oldest_block) write_events();
}

void recording_writer::write_events() {
  if (open_.records == 0) return;
  if (index_.size() == entries_per_index) write_index();
  write_types();
  block_header header{};
  header.records_before = records_stored_;
  header.first_time = open_.first_time;
  header.last_time = open_.last_time;
  header.record_count = open_.records;
  header.anchor = open_.anchor;
  if (open_.clock_changes) header.flags |= block_flag_clock_changes;
  if (write_block(block_kind::events, open_.content, header)) {
    records_stored_ += open_.records;
    content_bytes_ += open_.content.size();
  } else {
    records_not_stored_ += open_.records;
  }
  std::vector<uint8_t> reused = std::move(open_.content);
  reused.clear();
  open_ = {};
  open_.content = std::move(reused);
}

void recording_writer::write_types() {
  if (new_types_.empty()) return;
  write_block(block_kind::types, new_types_);
  new_types_.clear();
}

void recording_writer::write_index() {
  const index_content layout{previous_index_, index_.size()};
  std::vector<uint8_t> content;
  append(content, bytes_of(layout));
  for (const index_entry& entry : index_) append(content, bytes_of(entry));
  const uint64_t at = offset_;
  if (write_block(block_kind::index, content)) previous_index_ = at;
  index_.clear();
}

bool recording_writer::write_block(block_kind kind, std::span<const uint8_t> content, block_header header) {
  if (error_ != 0) return false;
  header.kind = kind;
  header.file_id = file_id_;
  header.sequence = sequence_;
  const std::span<const uint8_t> block = packer_.pack(header, content);
  const bool closes = kind == block_kind::end || kind == block_kind::index;
  // Cutting the file gives back what is reserved behind it: only where something was written.
  error_ = to_.reserve(offset_ + block.size() + (closes ? 0 : closing_bytes()));
  if (error_ != 0) return false;
  error_ = to_.write(offset_, block);
  if (error_ != 0) {
    (void)to_.truncate(
        offset_);  // a piece of the block may stand there; if it cannot be cut off, its checksum tells
    return false;
  }
  if (kind == block_kind::events || kind == block_kind::types) index_.push_back({offset_, header});
  offset_ += block.size();
  ++sequence_;
  return true;
}

// What the end block, the last index and the trailer may take: both compress, but nobody promises how well.
uint64_t recording_writer::closing_bytes() const {
  constexpr uint64_t types_in_use = 16;
  const uint64_t accounts = uint64_t{cpu_count_} * types_in_use * sizeof(protocol::statistics_row);
  const uint64_t entries = (index_.size() + 2) * sizeof(index_entry);
  return 4096 + (accounts + entries) * 101 / 100;
}

recording_writer::~recording_writer() {
  if (ended_) return;
  try {
    end(nullptr, nullptr);
  } catch (const std::exception&) {
    // No memory: the file has no end, and says so to its reader.
  }
}

void recording_writer::end(const driver_statistics* statistics, const raised_callbacks* raised) {
  ended_ = true;
  write_events();
  end_content layout{};
  const int failure = error_;
  if (failure != 0) {
    layout.reason = failure == ENOSPC || failure == EDQUOT ? end_reason::disk_full : end_reason::write_failed;
  }
  layout.records_stored = records_stored_;
  layout.records_not_stored = records_not_stored_;
  layout.has_statistics = statistics != nullptr;
  layout.row_count = statistics == nullptr ? 0 : static_cast<uint32_t>(statistics->rows.size());
  layout.always_on = raised == nullptr ? 0 : raised->always_on;
  layout.raised_count = raised == nullptr ? 0 : static_cast<uint32_t>(raised->by_type.size());
  std::vector<uint8_t> content;
  append(content, bytes_of(layout));
  append(content, bytes_of(statistics == nullptr ? protocol::statistics_header{} : statistics->header));
  if (statistics != nullptr) {
    for (const protocol::statistics_row& row : statistics->rows) append(content, bytes_of(row));
  }
  if (raised != nullptr) {
    for (const auto& [type, count] : raised->by_type) append(content, bytes_of(raised_entry{type, 0, count}));
  }

  // The room for this was reserved before: after a full disk there is an end all the same.
  error_ = 0;
  write_block(block_kind::end, content);
  write_index();
  trailer last{};
  std::memcpy(last.magic, trailer_magic, sizeof last.magic);
  last.file_id = file_id_;
  last.index_offset = previous_index_;
  last.checksum = checksum_of(last);
  if (error_ == 0) error_ = to_.write(offset_, bytes_of(last));
  if (error_ == 0) {
    offset_ += sizeof last;
    error_ = to_.truncate(offset_);
  } else {
    (void)to_.truncate(offset_);
  }
  if (const int error = to_.sync(); error_ == 0) error_ = error;
  if (failure != 0) error_ = failure;
}

}  // namespace sluice::recording
