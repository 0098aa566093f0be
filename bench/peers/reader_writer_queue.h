// moodycamel::ReaderWriterQueue, of fixed size (try_enqueue never allocates). It has no batched pop: the consumer takes
// one event after the other, until there is none or it has 256.
#pragma once

#include <readerwriterqueue/readerwriterqueue.h>

#include <string>

#include "bench/event.h"
#include "bench/handover.h"

namespace sluice::bench {

template <class of_clock>
class reader_writer_queue {
 public:
  using clock = of_clock;
  static std::string name() { return "moodycamel"; }

  void push(const event_payload& payload) {
    const timed_event event{clock_.now(), payload};
    while (!queue_.try_enqueue(event)) relax();
  }
  void finish() {}

  template <class visitor>
  size_t drain(visitor& visit) {
    timed_event event;
    size_t count = 0;
    for (; count < 256 && queue_.try_dequeue(event); ++count) {
      visit(event.time, reinterpret_cast<const uint8_t*>(&event.payload));
    }
    return count;
  }

 private:
  clock clock_;
  moodycamel::ReaderWriterQueue<timed_event> queue_{queue_events};
};

}  // namespace sluice::bench
