// A point of the curve through LTTng-UST, and the cost of its tracepoint.
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "bench/curve/lttng_provider.h"

#include <signal.h>

#include <stdexcept>

#include "bench/curve/contestants.h"
#include "bench/curve/lttng.h"

namespace sluice::bench {
namespace {

struct tracepoint_maker {
  SLUICE_ALWAYS_INLINE bool make(uint64_t number, uint64_t due) const {
    const event_payload payload = curve_payload(number, due);
    lttng_ust_tracepoint(sluice_curve, event, payload.words);
    return true;  // what is discarded, LTTng counts
  }
  ring_position position() const { return {}; }
};

// Stops the consumer daemon as the other consumers are stalled.
std::vector<stall> stall_process(pid_t pid, consumer_kind kind, uint64_t length) {
  const stall_plan plan = stalls_of(kind);
  std::vector<stall> made;
  if (plan.length == 0) return made;
  const uint64_t begin = monotonic_nanoseconds();
  const auto sleep_until = [](uint64_t time) {
    const uint64_t now = monotonic_nanoseconds();
    if (time > now) std::this_thread::sleep_for(std::chrono::nanoseconds(time - now));
  };
  for (uint64_t at = plan.first; at < length; at += plan.period) {
    sleep_until(begin + at);
    const uint64_t stopped = monotonic_nanoseconds();
    ::kill(pid, SIGSTOP);
    sleep_until(stopped + plan.length);
    ::kill(pid, SIGCONT);
    made.push_back({stopped, monotonic_nanoseconds()});
  }
  return made;
}

}  // namespace

cell_result measure_lttng(const cell& asked, const lttng_daemon& daemon) {
  cell_result result;
  try {
    const schedule plan(asked.rate, asked.length, asked.shape->levels);
    lttng_session session(asked.ring_bytes);
    const pid_t consumer = daemon.consumer();
    if (consumer == 0) throw std::runtime_error("no consumer daemon");
    tracepoint_maker maker;
    generator<tracepoint_maker> load(maker, result.load, plan.events());
    run_on_two_cpus([&] { load.offer(plan); },
                    [&] { result.stalls = stall_process(consumer, asked.consumer, asked.length); });
    result.load.attempted = result.load.offered;
    result.load.dropped = session.stop();
  } catch (const std::exception& error) {
    result.failure = error.what();
  }
  return result;
}

double time_tracepoints(uint64_t events) {
  const tracepoint_maker maker;
  const uint64_t begin = read_counter();
  for (uint64_t i = 0; i < events; ++i) (void)maker.make(i, begin);
  return static_cast<double>(read_counter() - begin) / counter_ticks_per_nanosecond() / static_cast<double>(events);
}

}  // namespace sluice::bench
