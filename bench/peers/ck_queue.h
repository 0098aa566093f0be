// ck_ring of Concurrency Kit, one producer and one consumer, events by value (what CK_RING_PROTOTYPE expands to). It has no
// batched pop: one event after the other, until there is none or it has 256.
#pragma once

// The header is C: one of its functions returns `false` for a null pointer, which C++ refuses of `false` and takes of 0.
#include <stdbool.h>
#define false 0
extern "C" {
#include <ck_ring.h>
}
#undef false

#include <string>
#include <vector>

#include "bench/event.h"
#include "bench/handover.h"

namespace sluice::bench {

template <class of_clock>
class ck_queue {
 public:
  using clock = of_clock;
  static std::string name() { return "ck_ring"; }

  ck_queue() { ck_ring_init(&ring_, queue_events); }

  void push(const event_payload& payload) {
    const timed_event event{clock_.now(), payload};
    while (!_ck_ring_enqueue_sp(&ring_, slots_.data(), &event, sizeof event, nullptr)) relax();
  }
  void finish() {}

  template <class visitor>
  size_t drain(visitor& visit) {
    timed_event event;
    size_t count = 0;
    for (; count < 256 && _ck_ring_dequeue_sc(&ring_, slots_.data(), &event, sizeof event); ++count) {
      visit(event.time, reinterpret_cast<const uint8_t*>(&event.payload));
    }
    return count;
  }

 private:
  ck_ring ring_;
  std::vector<timed_event> slots_ = std::vector<timed_event>(queue_events);
  clock clock_;
};

}  // namespace sluice::bench
