// The designs of the curve that live in one process: ours, and the two that drivers use. Each has the memory of a ring of so many bytes
// for one CPU, drops what finds no room, and gives
//
//   bool make(number, due)             an event of 64 bytes; the payload has its number and the time when it was due
//   ring_position position()           empty for what is no ring of ours
//   size_t drain(visitor)              some of what is there: visitor.event(time, payload), visitor.loss(time, loss_payload)
#pragma once

#include <string>

#include "bench/curve/generator.h"
#include "bench/peers/locked_list.h"
#include "bench/peers/queued_lock_ring.h"
#include "bench/sluice_queues.h"
#include "pipeline/loss.h"

namespace sluice::bench {

inline event_payload curve_payload(uint64_t number, uint64_t due) { return {{number, due, 2, 3, 4, 5, 6, 7}}; }

// The driver's parts of a ring: an eighth is kept for critical events.
inline ring_geometry curve_geometry(uint64_t bytes) {
  return {static_cast<uint32_t>(bytes), 16384, static_cast<uint32_t>(bytes / 8)};
}

// The merge over both lanes, its margin 2 us.
class sluice_contestant {
 public:
  static constexpr bool announces = true;
  explicit sluice_contestant(uint64_t bytes) : cpu_(monotonic_clock{}, 0, curve_geometry(bytes)), merge_(monotonic_clock{}, slack_order(2000)) {
    readers_[0].attach(cpu_.main.view);
    readers_[1].attach(cpu_.spare.view);
    merge_.attach(readers_, heads_, nodes_, lanes_per_cpu);
  }

  SLUICE_ALWAYS_INLINE bool make(uint64_t number, uint64_t due) {
    const event_payload payload = curve_payload(number, due);
    const bool room = cpu_.rings.write(ordinary_type, 1, &payload, sizeof payload) == reserve_status::ok;
    benchmark::DoNotOptimize(wake_.after_close());
    return room;
  }
  SLUICE_ALWAYS_INLINE ring_position position() const {
    return {cpu_.main.view.producer->published.load(memory_order::relaxed), cpu_.main.view.consumer->consumed.load(memory_order::acquire)};
  }

  template <class visitor>
  size_t drain(visitor& visit) {
    constexpr uint32_t most = 512;  // until room is given back
    uint32_t taken = 0;
    (void)merge_.pass([&](const record_view<native_seam>& record) {
      if (taken == most) return false;
      ++taken;
      if (record.type() == record_type_loss) {
        loss_payload loss;
        std::memcpy(&loss, record.payload(), sizeof loss);
        visit.loss(record.time, loss);
      } else {
        visit.event(record.time, record.payload());
      }
      return true;
    });
    merge_.release();
    return taken;
  }

  static uint64_t memory(uint64_t bytes) {
    return region_bytes(curve_geometry(bytes)) + region_bytes(spare_geometry) + sizeof(cpu_rings<native_seam, monotonic_clock>);
  }
  static uint64_t room(uint64_t bytes) { return bytes - bytes / 8; }

 private:
  basic_cpu<monotonic_clock> cpu_;
  wake_line<native_seam> wake_;
  alignas(128) ring_reader<native_seam> readers_[lanes_per_cpu];
  ring_head heads_[lanes_per_cpu];
  tournament_node nodes_[tournament_nodes(lanes_per_cpu)];
  merge<native_seam, monotonic_clock, slack_order> merge_;
};

// One of the peers: as many events as fit into the memory.
template <class queue, size_t bytes_each>
class peer_contestant {
 public:
  static constexpr bool announces = false;
  explicit peer_contestant(uint64_t bytes) : queue_(bytes / bytes_each) {}
  bool make(uint64_t number, uint64_t due) { return queue_.try_push(curve_payload(number, due)); }
  ring_position position() const { return {}; }
  template <class visitor>
  size_t drain(visitor& visit) {
    const auto event = [&](uint64_t time, const uint8_t* payload) { visit.event(time, payload); };
    return queue_.drain(event);
  }
  static uint64_t memory(uint64_t bytes) { return bytes / bytes_each * bytes_each; }

 private:
  queue queue_;
};

// A node of 80 bytes takes 96 with what the allocator keeps of it.
using locked_list_contestant = peer_contestant<locked_list<monotonic_clock>, 96>;
using queued_lock_contestant = peer_contestant<queued_lock_ring<monotonic_clock>, sizeof(timed_event)>;

}  // namespace sluice::bench
