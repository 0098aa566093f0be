// Builds batches and payloads by hand, byte by byte as the contract headers say, without the code that the driver uses.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/batch.h"
#include "pipeline/loss.h"
#include "producers/events.h"

namespace sluice::test {

using bytes = std::vector<uint8_t>;

template <class value>
void append(bytes& out, const value& v) {
  const auto* p = reinterpret_cast<const uint8_t*>(&v);
  out.insert(out.end(), p, p + sizeof v);
}

// Appends `text` behind the payload and gives the field that describes it.
inline string_field append_string(bytes& payload, std::u16string_view text) {
  const string_field field{static_cast<uint16_t>(payload.size()), static_cast<uint16_t>(text.size() * 2),
                           static_cast<uint16_t>(text.size() * 2), 0};
  for (const char16_t unit : text) {
    payload.push_back(static_cast<uint8_t>(unit));
    payload.push_back(static_cast<uint8_t>(unit >> 8));
  }
  return field;
}

template <class value>
void put(bytes& out, size_t offset, const value& v) {
  std::memcpy(out.data() + offset, &v, sizeof v);
}

inline bytes process_create(uint32_t pid, std::u16string_view image, std::u16string_view command_line) {
  bytes payload(sizeof(process_create_payload));
  process_create_payload p{};
  p.context = {1000, 1001};
  p.pid = pid;
  p.parent_pid = 7;
  p.creating_pid = 1000;
  p.creating_tid = 1001;
  p.start_key = 0x1122334455667788;
  p.flags = process_flag_exact_image_path;
  p.image_path = append_string(payload, image);
  p.command_line = append_string(payload, command_line);
  put(payload, 0, p);
  return payload;
}

inline bytes thread_create(uint32_t pid, uint32_t tid) {
  bytes payload;
  append(payload, thread_payload{{10, 11}, pid, tid, 10, 11, 0x7fff00001000, thread_flag_remote, 0});
  return payload;
}

inline bytes image_load(uint32_t pid, std::u16string_view path) {
  bytes payload(sizeof(image_load_payload));
  image_load_payload p{};
  p.context = {pid, pid + 1};
  p.pid = pid;
  p.flags = image_flag_system;
  p.base = 0xfffff80000000000;
  p.size = 0x2000;
  p.signature_level = 12;
  p.signature_type = 1;
  p.path = append_string(payload, path);
  put(payload, 0, p);
  return payload;
}

struct lost_type {
  uint16_t type;
  uint64_t events;
};
inline bytes loss(const std::vector<lost_type>& lost, uint64_t first_time = 100, uint64_t last_time = 200) {
  loss_payload p{first_time, last_time, 0, 0, static_cast<uint32_t>(lost.size()), 0};
  for (const lost_type& entry : lost) {
    p.events += entry.events;
    p.bytes += entry.events * 64;
  }
  bytes payload;
  append(payload, p);
  for (const lost_type& entry : lost) append(payload, loss_entry{entry.type, 0, 0, entry.events});
  return payload;
}

inline field_declaration field(std::string_view name, uint16_t offset, uint16_t size, field_kind kind) {
  field_declaration f{};
  std::memcpy(f.name, name.data(), std::min<size_t>(name.size(), sizeof f.name));
  f.offset = offset;
  f.size = size;
  f.kind = kind;
  return f;
}
inline bytes declaration(uint16_t type, std::string_view name, const std::vector<field_declaration>& fields,
                         uint8_t version = 1) {
  type_declaration_payload p{};
  p.type = type;
  p.version = version;
  p.field_count = static_cast<uint32_t>(fields.size());
  std::memcpy(p.name, name.data(), std::min<size_t>(name.size(), sizeof p.name));
  bytes payload;
  append(payload, p);
  for (const field_declaration& f : fields) append(payload, f);
  return payload;
}

struct record {
  uint16_t type = 0;
  bytes payload;
  uint64_t time = 1000;
  uint16_t cpu = 0;
  uint8_t lane = 0;
  uint8_t version = 1;
  uint8_t entry_flags = 0;
  uint64_t position = ~uint64_t{0};  // not given: behind the record before it on that ring
};

class batch_builder {
 public:
  static constexpr uint64_t boot = 0xb007;
  static constexpr uint64_t frequency = 10'000'000;

  batch_builder& add(const record& r) {
    const uint32_t length = static_cast<uint32_t>(record_header_size + r.payload.size());
    uint64_t& next = next_position_[r.cpu * 2u + r.lane];
    const uint64_t position = r.position != ~uint64_t{0} ? r.position : next;
    if ((r.entry_flags & (batch_flag_figures | batch_flag_stream)) == 0) next = position + record_stride(length);
    append(body_, batch_entry{batch_overhead(length), r.cpu, r.lane, r.entry_flags, position});
    append(body_, record_header{make_state_and_length(record_state::committed, length), r.type, r.version, 0,
                                static_cast<uint32_t>(r.time), static_cast<uint32_t>(r.time >> 32)});
    body_.insert(body_.end(), r.payload.begin(), r.payload.end());
    body_.resize((body_.size() + 7) / 8 * 8);
    ++count_;
    return *this;
  }

  // The batch so far; the next one starts empty and goes on with the positions.
  bytes finish() {
    bytes out;
    append(out, batch_header{batch_magic, batch_version, sizeof(batch_header),
                             static_cast<uint32_t>(sizeof(batch_header) + body_.size()), count_, boot, frequency});
    out.insert(out.end(), body_.begin(), body_.end());
    body_.clear();
    count_ = 0;
    return out;
  }

 private:
  bytes body_;
  uint32_t count_ = 0;
  std::vector<uint64_t> next_position_ = std::vector<uint64_t>(2 * 65536);
};

// One record as a reader of a batch would give it; the payload must outlive it.
inline delivered_record delivered(uint16_t type, const bytes& payload, uint8_t version = 1) {
  return {{batch_builder::boot, 4096, 3, 0}, 1000, type, version, 0, false, false,
          payload.data(), static_cast<uint32_t>(payload.size())};
}

}  // namespace sluice::test
