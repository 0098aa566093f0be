#include "bench/curve/memory.h"

#include <signal.h>

#include <stdexcept>

#include "bench/curve/contestants.h"

namespace sluice::bench {
namespace {

template <class contestant>
memory_figures fill(const char* name, uint64_t ring_bytes) {
  contestant queue(ring_bytes);
  uint64_t held = 0;
  while (queue.make(held, 0)) ++held;
  return {name, contestant::memory(ring_bytes), held};
}

memory_figures fill_lttng(uint64_t ring_bytes, const lttng_daemon& daemon) {
  lttng_session session(ring_bytes);
  const pid_t consumer = daemon.consumer();
  if (consumer == 0) throw std::runtime_error("LTTng: no consumer daemon");
  const uint64_t events = ring_bytes / 16;  // more than it can hold
  ::kill(consumer, SIGSTOP);
  (void)time_tracepoints(events);
  ::kill(consumer, SIGCONT);
  return {"lttng_ust", ring_bytes, events - session.stop()};
}

}  // namespace

std::vector<memory_figures> measure_memory(uint64_t ring_bytes, const lttng_daemon& daemon) {
  pin_to(pick_cpus().first);
  std::vector<memory_figures> all = {fill<sluice_contestant>("sluice", ring_bytes),
                                     fill<locked_list_contestant>("locked_list", ring_bytes),
                                     fill<queued_lock_contestant>("queued_lock_ring", ring_bytes)};
  if (daemon.why_not().empty()) all.push_back(fill_lttng(ring_bytes, daemon));
  return all;
}

}  // namespace sluice::bench
