// Rings of a few records in the model's memory, and what the scenarios do with them.
#pragma once

#include "pipeline/cpu_rings.h"
#include "pipeline/ring_reader.h"
#include "pipeline/wake.h"
#include "tests/model/model_seam.h"

namespace sluice::model {

// Types of the model: 0 and 1 are the format's own (invalid, LOSS).
inline constexpr uint16_t ordinary_type = 2;
inline constexpr uint16_t critical_type = 3;

using record = open_record<model_seam>;
using cpu = cpu_rings<model_seam, model_clock>;
using reader = ring_reader<model_seam>;
using wake = wake_line<model_seam>;

// Capacities far below what check_geometry accepts: the templates do not care, and a lap takes two records.
template <uint32_t capacity, uint32_t max_record, ring_mode mode = ring_mode::discard>
struct model_ring {
  producer_page<model_seam> producer;
  consumer_page<model_seam> consumer;
  model_storage<capacity + max_record, mode == ring_mode::overwrite> storage;

  region_view<model_seam> view(uint16_t number = 0, uint8_t lane = lane_main, uint32_t start = 0) {
    region_view<model_seam> view;
    view.producer = &producer;
    view.consumer = &consumer;
    view.data = model_seam::memory(storage);
    view.geometry = {capacity, max_record, 0};
    view.start_position = start;
    view.cpu = number;
    view.lane = lane;
    view.mode = mode;
    producer.published.store(start, memory_order::relaxed);
    consumer.consumed.store(start, memory_order::relaxed);
    producer.tail.tail[0].store(start, memory_order::relaxed);
    return view;
  }
};

// The spare ring of a CPU where the scenario needs none.
using no_spare = model_ring<8, 16>;

// The payload of a record, by its number in the scenario.
inline uint32_t payload_of(uint32_t number) {
  return 0x5a000000 + number;
}

inline void fill(const record& open, uint32_t number) {
  for (uint32_t i = 0; i < open.payload_length(); i += 4) {
    open.data.store(open.offset + record_header_size + i, payload_of(number));
  }
}

inline reserve_status write_record(cpu& to, uint32_t number, uint32_t payload_length = 8,
                                   uint16_t type = ordinary_type) {
  uint32_t payload[32];
  for (uint32_t& word : payload) word = payload_of(number);
  return to.write(type, 1, payload, payload_length);
}

// R1 and R5, as far as the producer sees them. `claim_is_honest`: nobody but a reader of ours writes
// `consumed`.
inline void check_producer(cpu& of, uint32_t capacity, bool claim_is_honest = true) {
  const cpu::positions at = of.where();
  RL_ASSERT(at.written[lane_main] - at.reclaimed[lane_main] <= capacity);  // R1
  if (claim_is_honest) RL_ASSERT(of.violations() == 0);                    // R5: the honest are never flagged
}

// What came out, in the order it came.
struct received {
  static constexpr uint32_t room = 8;
  struct entry {
    uint64_t time;
    uint64_t position;
    uint32_t number;  // from the payload; 0 for LOSS
    uint32_t lost;    // LOSS: how many events it tells of
    uint16_t type;
    uint16_t ring;
    bool late;
  };
  entry entries[room];
  uint32_t count = 0;

  // Reads all of the record, as a consumer would.
  void add(const record_view<model_seam>& from) {
    RL_ASSERT(count < room);
    entry& to = entries[count++];
    to = {from.time, from.position, 0,
          0,         from.type(),   static_cast<uint16_t>(from.cpu * lanes_per_cpu + from.lane),
          from.late};
    if (to.type == record_type_loss) {
      const uint32_t payload = from.offset + record_header_size;
      to.lost = from.data.load(payload + offsetof(loss_payload, events));
      RL_ASSERT(from.data.load_time(payload + offsetof(loss_payload, last_time)) <= from.time);
      return;
    }
    RL_ASSERT(to.type == ordinary_type || to.type == critical_type);
    const uint32_t first = from.data.load(from.offset + record_header_size);
    for (uint32_t i = 0; i < from.payload_length(); i += 4) {
      RL_ASSERT(from.data.load(from.offset + record_header_size + i) == first);
    }
    to.number = first - payload_of(0);
  }
  bool has(uint32_t number) const {
    for (uint32_t i = 0; i < count; ++i) {
      if (entries[i].number == number) return true;
    }
    return false;
  }
  // M2: the record came exactly once.
  void check_once(uint32_t number) const {
    uint32_t times = 0;
    for (uint32_t i = 0; i < count; ++i) times += entries[i].number == number;
    RL_ASSERT(times == 1);
  }
  // M1: (time, ring, position); what is marked late stands outside of the order.
  void check_order() const {
    const entry* last = nullptr;
    for (uint32_t i = 0; i < count; ++i) {
      const entry& next = entries[i];
      if (next.late) continue;
      if (last != nullptr) {
        RL_ASSERT(last->time != next.time   ? last->time < next.time
                  : last->ring != next.ring ? last->ring < next.ring
                                            : last->position < next.position);
      }
      last = &next;
    }
  }
  // Events that LOSS records tell of.
  uint32_t lost() const {
    uint32_t events = 0;
    for (uint32_t i = 0; i < count; ++i) events += entries[i].lost;
    return events;
  }
  uint32_t late_count() const {
    uint32_t late = 0;
    for (uint32_t i = 0; i < count; ++i) late += entries[i].late;
    return late;
  }
};

// Looks at the ring's head once; takes it if it is closed. False: nothing to take yet.
inline bool take_one(reader& from, received& into) {
  const ring_head head = from.look();
  RL_ASSERT(head.state != head_state::damaged);
  if (head.state != head_state::committed && head.state != head_state::discarded) return false;
  if (into.count != 0) RL_ASSERT(into.entries[into.count - 1].time <= head.time);  // R2
  if (head.state == head_state::committed) into.add(from.view(head));
  from.take(head);
  return true;
}

}  // namespace sluice::model
