// A point of the curve in one process: the generator on one processor, the consumer on the other.
#include <atomic>

#include "bench/curve/cell.h"
#include "bench/curve/contestants.h"
#include "bench/curve/processor_watch.h"

namespace sluice::bench {
namespace {

constexpr uint64_t rest = 2000;  // nanoseconds between two drains that find nothing, or little

struct visitor {
  curve_arrivals& seen;
  void event(uint64_t, const uint8_t* payload) const {
    event_payload read;
    std::memcpy(&read, payload, sizeof read);
    benchmark::DoNotOptimize(sum_of(read));
    seen.event(read.words[0]);
  }
  void loss(uint64_t, const loss_payload& loss) const { seen.loss(loss.first_time, loss.last_time, loss.events); }
};

template <class contestant>
cell_result measure(const cell& asked) {
  const schedule plan(asked.rate, asked.length, asked.shape->levels);
  contestant queue(asked.ring_bytes);
  cell_result result;
  curve_arrivals seen;
  std::atomic<bool> ended{false};
  std::atomic<bool> closed{false};
  generator<contestant> load(queue, result.load, plan.events());
  run_on_two_cpus(
      [&] {
        load.offer(plan);
        ended = true;
        load.close();
        closed = true;
      },
      [&] {
        consumer_gait gait(asked.consumer, asked.rate);
        visitor visit{seen};
        processor_watch watch(monotonic_nanoseconds());
        for (;;) {
          const bool last = closed;
          if (ended) gait.hurry();
          const uint64_t now = monotonic_nanoseconds();
          watch.look(now);
          gait.between(now);
          const size_t taken = queue.drain(visit);
          gait.after(taken, now);
          if (taken == 0 && last && (!result.load.closed || seen.next() == result.load.attempted)) break;
          while (taken < 64 && monotonic_nanoseconds() - now < rest) relax(1);
        }
        result.stalls = gait.stalls();
        result.away = watch.longest();
      });
  if constexpr (contestant::announces) {
    settle(result, seen, {contestant::room(asked.ring_bytes), record_stride(record_header_size + sizeof(event_payload)), 1});
  } else {
    uint64_t refused = 0;
    for (const drop_interval& drop : result.load.log.drops) refused += drop.count;
    if (seen.received() + refused != result.load.attempted || !seen.in_order()) result.failure = "events are missing or out of order";
  }
  return result;
}

}  // namespace

cell_result measure_in_process(const cell& asked) {
  if (asked.design == "sluice") return measure<sluice_contestant>(asked);
  if (asked.design == "locked_list") return measure<locked_list_contestant>(asked);
  return measure<queued_lock_contestant>(asked);
}

}  // namespace sluice::bench
