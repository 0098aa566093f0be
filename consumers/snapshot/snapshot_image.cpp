#include "consumers/snapshot/snapshot_image.h"

#include <fmt/format.h>

#include <cstring>
#include <memory>

#include "producers/type_catalog.h"

namespace sluice {
namespace {

template <class value>
std::span<const uint8_t> bytes_of(const value& v) {
  return {reinterpret_cast<const uint8_t*>(&v), sizeof v};
}

using page = producer_page<native_seam>;

void put64(atomic_word (&to)[2], uint64_t value) {
  to[0].store(static_cast<uint32_t>(value), memory_order::relaxed);  // nobody else sees it yet
  to[1].store(static_cast<uint32_t>(value >> 32), memory_order::relaxed);
}

void fill(page& to, const ring_snapshot& ring) {
  const protocol::ring_copy& about = ring.about;
  to.header = about.region;
  to.published.store(static_cast<uint32_t>(ring.end), memory_order::relaxed);
  put64(to.loss.first_time, about.loss_first_time);
  put64(to.loss.last_time, about.loss_last_time);
  put64(to.loss.bytes, about.loss_bytes);
  put64(to.loss.events, about.loss_events);
  for (uint32_t type = 0; type < max_record_types; ++type) to.loss.dropped[type].store(about.dropped[type], memory_order::relaxed);
  // Odd: as of a producer that was writing them.
  to.loss.sequence.store(about.loss_is_known != 0 ? 0 : 1, memory_order::relaxed);
  to.tail.sequence.store(ring.overtaken ? 1 : 0, memory_order::relaxed);
  put64(to.tail.tail, ring.begin);
  for (uint32_t type = 0; type < max_record_types; ++type) put64(to.tail.committed[type], about.committed[type]);
}

// Records stand one behind another in the copy, and in the ring: but one that begins behind the capacity's end stands at the
// ring's beginning.
void write_records(const ring_snapshot& ring, uint64_t data, output_place& to) {
  const uint32_t mask = ring.about.region.capacity - 1;
  const std::span<const uint8_t> all = ring.records;
  size_t run = 0;  // where in the copy what is to be written begins
  uint32_t place = static_cast<uint32_t>(ring.begin) & mask;
  uint64_t position = ring.begin;
  for (size_t at = 0; at < all.size();) {
    uint32_t state_and_length;
    std::memcpy(&state_and_length, &all[at], sizeof state_and_length);
    const uint32_t stride = record_stride(length_of(state_and_length));
    if (stride == 0 || stride > all.size() - at) throw source_error("a copied record contradicts its length");
    at += stride;
    position += stride;
    const uint32_t next = static_cast<uint32_t>(position) & mask;
    if (at != all.size() && next == place + (at - run)) continue;
    to.write(data + place, all.subspan(run, at - run));
    run = at;
    place = next;
  }
}

// As own_type_registry keeps them; `types` is the driver's answer.
std::unique_ptr<type_catalog> make_catalog(const snapshot& taken) {
  auto catalog = std::make_unique<type_catalog>();
  create_catalog(*catalog, taken.boot);
  const std::span<const uint8_t> all = taken.types;
  for (size_t at = 0; at < all.size() && catalog->header.count < catalog_capacity;) {
    type_entry& entry = catalog->entries[catalog->header.count];
    if (all.size() - at < sizeof entry.head) break;
    std::memcpy(&entry.head, &all[at], sizeof entry.head);
    const size_t bytes = sizeof entry.head + entry.head.field_count * sizeof(field_declaration);
    if (entry.head.field_count > max_fields || bytes > all.size() - at) break;
    std::memcpy(entry.fields, &all[at + sizeof entry.head], bytes - sizeof entry.head);
    ++catalog->header.count;
    at += record_stride(static_cast<uint32_t>(bytes));
  }
  return catalog;
}

}  // namespace

void write_image(const snapshot& taken, output_place& to) {
  to.write(0, bytes_of(*make_catalog(taken)));
  uint64_t end = round_up_to_page(sizeof(type_catalog));
  for (const ring_snapshot& ring : taken.rings) {
    const region_header& region = ring.about.region;
    auto first = std::make_unique<page>();
    fill(*first, ring);
    to.write(end, bytes_of(*first));
    write_records(ring, end + region.data_offset, to);
    const uint32_t consumed = static_cast<uint32_t>(ring.about.consumed);
    to.write(end + region.consumer_offset, bytes_of(consumed));
    end += region.region_bytes;
  }
  to.resize(end);
}

std::string describe(const snapshot& taken) {
  uint64_t bytes = 0, missing = 0, overtaken = 0, damaged = 0;
  for (const ring_snapshot& ring : taken.rings) {
    bytes += ring.records.size();
    missing += ring.missing;
    overtaken += ring.overtaken;
    damaged += ring.damaged;
  }
  std::string text = fmt::format("{} rings, {} bytes of records", taken.rings.size(), bytes);
  if (overtaken != 0) text += fmt::format("; {} rings were overwritten faster than they could be copied", overtaken);
  if (missing != 0) text += fmt::format("; {} bytes of the newest were overwritten before they could be copied", missing);
  if (damaged != 0) text += fmt::format("; {} rings contradict themselves", damaged);
  return text;
}

}  // namespace sluice
