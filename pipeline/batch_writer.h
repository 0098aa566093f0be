// Writes a batch (pipeline/batch.h) into a buffer, record by record. One thread. Freestanding.
#pragma once

#include "pipeline/batch.h"
#include "pipeline/loss.h"
#include "pipeline/ring_reader.h"

namespace sluice {

class batch_writer {
 public:
  // `buffer` is 8-byte aligned and has room for a batch header.
  void begin(void* buffer, uint32_t size, uint64_t boot, uint64_t clock_frequency) {
    buffer_ = static_cast<uint8_t*>(buffer);
    size_ = size & ~(record_alignment - 1);
    header_ = {batch_magic, batch_version, sizeof(batch_header), sizeof(batch_header), 0, boot, clock_frequency};
  }

  // False: no room; nothing was written. The record leaves with the stream's time.
  template <class seam>
  [[nodiscard]] bool add(const record_view<seam>& record) {
    const uint8_t flags = static_cast<uint8_t>((record.late ? batch_flag_late : 0) |
                                               (record.overwritten ? batch_flag_overwritten : 0));
    uint8_t* const to = open_entry(record.length, record.cpu, record.lane, flags, record.position);
    if (to == nullptr) return false;
    copy_bytes(to, record.bytes(), record.length);
    uint64_t counter;
    copy_bytes(&counter, to + offsetof(record_header, time_low), sizeof counter);
    if (counter != record.time) [[unlikely]] move_times(to, record.type(), counter, record.time);
    return true;
  }

  // Room for `records` records of altogether `payload_bytes`.
  bool has_room(uint32_t records, uint32_t payload_bytes) const {
    return size_ - header_.total_bytes >= records * batch_overhead(record_header_size + 7) + payload_bytes;
  }

  // What the merge itself has to say about the stream (batch_flag_stream). False: no room.
  [[nodiscard]] bool add_of_stream(uint16_t type, uint64_t time, const void* payload, uint32_t payload_length) {
    const uint32_t length = record_header_size + payload_length;
    uint8_t* const to = open_entry(length, 0, lane_main, batch_flag_stream, 0);
    if (to == nullptr) return false;
    const record_header record{make_state_and_length(record_state::committed, length), type, 1, record_flag_critical,
                               static_cast<uint32_t>(time), static_cast<uint32_t>(time >> 32)};
    copy_bytes(put(to, &record, sizeof record), payload, payload_length);
    return true;
  }

  // What a CPU has dropped since load, for a gap that no record follows (batch_flag_figures). `also`: 0 or batch_flag_stream.
  [[nodiscard]] bool add_figures(uint16_t cpu, const loss_summary& figures, uint8_t also = 0) {
    return add_loss(cpu, static_cast<uint8_t>(batch_flag_figures | also), {figures.first_time, figures.last_time, figures.bytes, figures.events, 0, 0},
                    figures.dropped);
  }

  // What this client has missed here (batch_flag_client_loss).
  [[nodiscard]] bool add_client_loss(const loss_payload& gap, const uint64_t (&by_type)[max_record_types]) {
    return add_loss(batch_no_cpu, batch_flag_client_loss, gap, by_type);
  }

  uint32_t record_count() const { return header_.record_count; }

  // Writes the header; returns the bytes of the whole batch.
  uint32_t finish() {
    copy_bytes(buffer_, &header_, sizeof header_);
    return header_.total_bytes;
  }

 private:
  static uint8_t* put(uint8_t* to, const void* from, uint32_t length) {
    copy_bytes(to, from, length);
    return to + length;
  }

  // After the clock has stepped back: from the counter to the stream's time, where the pipeline itself writes times. A gap
  // that began before the step is told from the end of its epoch on.
  SLUICE_NEVER_INLINE static void move_times(uint8_t* record, uint16_t type, uint64_t counter, uint64_t time) {
    copy_bytes(record + offsetof(record_header, time_low), &time, sizeof time);
    if (type != record_type_loss) return;
    uint64_t gap[2];  // loss_payload: first_time, last_time
    copy_bytes(gap, record + record_header_size, sizeof gap);
    for (uint64_t& moved : gap) moved = moved <= counter ? moved + (time - counter) : time;
    if (gap[0] > gap[1]) gap[0] = gap[1];
    copy_bytes(record + record_header_size, gap, sizeof gap);
  }

  template <class count>
  [[nodiscard]] bool add_loss(uint16_t cpu, uint8_t flag, loss_payload payload, const count (&by_type)[max_record_types]) {
    for (count events : by_type) payload.entry_count += events != 0;
    const uint32_t length =
        record_header_size + static_cast<uint32_t>(sizeof payload + payload.entry_count * sizeof(loss_entry));
    uint8_t* to = open_entry(length, cpu, lane_main, flag, 0);
    if (to == nullptr) return false;
    const record_header record{make_state_and_length(record_state::committed, length),
                               record_type_loss,
                               1,
                               record_flag_critical,
                               static_cast<uint32_t>(payload.last_time),
                               static_cast<uint32_t>(payload.last_time >> 32)};
    to = put(to, &record, sizeof record);
    to = put(to, &payload, sizeof payload);
    for (uint32_t type = 0; type < max_record_types; ++type) {
      if (by_type[type] == 0) continue;
      const loss_entry entry{static_cast<uint16_t>(type), 0, 0, by_type[type]};
      to = put(to, &entry, sizeof entry);
    }
    return true;
  }

  // Where the record goes, or null. Padding is zeroed: nothing of an earlier batch leaks.
  uint8_t* open_entry(uint32_t length, uint16_t cpu, uint8_t lane, uint8_t flags, uint64_t position) {
    const uint32_t bytes = batch_overhead(length);
    if (bytes > size_ - header_.total_bytes) return nullptr;
    uint8_t* const at = buffer_ + header_.total_bytes;
    const batch_entry entry{bytes, cpu, lane, flags, position};
    copy_bytes(at, &entry, sizeof entry);
    uint8_t* const record = at + sizeof entry;
    for (uint32_t i = length; i < record_stride(length); ++i) record[i] = 0;
    header_.total_bytes += bytes;
    ++header_.record_count;
    return record;
  }

  uint8_t* buffer_ = nullptr;
  uint32_t size_ = 0;
  batch_header header_{};
};

}  // namespace sluice
