// What an event costs its producer: our write beside LTTng-UST's tracepoint, the same payload and the same memory, by turns in one
// process, on one processor. Between two turns LTTng's consumer daemon empties what was written, on the other processor.
#include <fmt/format.h>

#include <cstdio>

#include "bench/curve/contestants.h"
#include "bench/curve/cost.h"
#include "bench/curve/lttng.h"

namespace sluice::bench {
namespace {

constexpr uint64_t ring_bytes = 1 << 20;
constexpr uint64_t events = 4000;  // of a turn: less than a sub-buffer's worth of LTTng's stays unread

// With a consumer that has read everything so far, as LTTng's buffers are empty before each turn: room is given back record by record.
class timed_write {
 public:
  double operator()() {
    const uint64_t begin = read_counter();
    for (uint64_t i = 0; i < events; ++i) {
      const event_payload payload = curve_payload(i, begin);
      dropped_ += cpu_.rings.write(ordinary_type, 1, &payload, sizeof payload) != reserve_status::ok;
      benchmark::DoNotOptimize(wake_.after_close());
      consumer_.follow();
    }
    return static_cast<double>(read_counter() - begin) / counter_ticks_per_nanosecond() / static_cast<double>(events);
  }
  uint64_t dropped() const { return dropped_; }

 private:
  basic_cpu<monotonic_clock> cpu_{monotonic_clock{}, 0, curve_geometry(ring_bytes)};
  wake_line<native_seam> wake_;
  follower consumer_{cpu_.main.view};
  uint64_t dropped_ = 0;
};

void print(const char* design, const std::vector<double>& turns) {
  fmt::print("{{\"kind\": \"cost\", \"design\": \"{}\", \"events\": {}, \"ns\": [{:.3f}]}}\n", design, events, fmt::join(turns, ", "));
  std::fflush(stdout);
}

}  // namespace

bool measure_cost(const lttng_daemon& daemon, int turns) {
  pin_to(pick_cpus().first);
  timed_write write;
  std::vector<double> ours, theirs;
  const bool beside = daemon.why_not().empty();
  std::unique_ptr<lttng_session> session;
  if (beside) session = std::make_unique<lttng_session>(ring_bytes);
  for (int turn = -10; turn < turns; ++turn) {  // the first ones touch the memory
    const bool ours_first = turn % 2 == 0;
    double mine = ours_first ? write() : 0;
    const double other = beside ? time_tracepoints(events) : 0;
    if (!ours_first) mine = write();
    if (turn >= 0) {
      ours.push_back(mine);
      if (beside) theirs.push_back(other);
    }
    if (beside) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const uint64_t discarded = beside ? session->stop() : 0;
  print("sluice", ours);
  if (beside) print("lttng_ust", theirs);
  if (write.dropped() + discarded != 0) {
    fmt::print(stderr, "sluice_curve: cost: {} of our events were dropped, and {} of LTTng's\n", write.dropped(), discarded);
    return false;
  }
  return true;
}

}  // namespace sluice::bench
