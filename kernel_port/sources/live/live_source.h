// This Linux machine's activity, raised on a simulated NT kernel: real processes, threads and images, from
// perf_event_open(2). docs/live-source.md says what becomes of what, and what is not promised.
//
//   Linux kernel --> a perf ring per CPU --> [ pump thread: merge --> look ahead --> track ] --> activity_sink
//
// start, stop and the destructor: one thread. statistics and failure: any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "kernel_port/sources/live/activity_sink.h"
#include "kernel_port/sources/live/correlator.h"
#include "kernel_port/sources/live/live_error.h"
#include "kernel_port/sources/live/statistics.h"

namespace sluice::sim {
class machine;
}

namespace sluice::live {

struct live_options {
  uint64_t ring_bytes = 4 * 1024 * 1024;  // of each CPU's perf ring: a power of two, at least a page
  correlator_options correlation;
  int nice = -10;  // of the pump thread, where permitted: short-lived processes leave a millisecond to read their names
};

class live_source {
 public:
  // `make_sink` is called once, in the pump thread, which alone uses the sink and destroys it when it ends.
  using sink_factory = std::function<std::unique_ptr<activity_sink>()>;
  live_source(const live_options& options, sink_factory make_sink);
  // Raises on the machine, which must outlive the source. (Target sluice_live.)
  live_source(const live_options& options, sim::machine& machine);
  ~live_source();  // stops
  live_source(const live_source&) = delete;
  live_source& operator=(const live_source&) = delete;

  // Returns when every process that was there is known: what happens after that is raised. Throws live_error; then nothing
  // runs. Once per object.
  void start();

  // Everything that happened before the call is raised when it returns. Throws live_error if the source failed while it
  // ran; then it stands still since. Any later call does nothing.
  void stop();

  // Counted up to a moment ago while the source runs, final after stop().
  source_statistics statistics() const;

  // Why the source stands still, if it failed.
  std::optional<std::string> failure() const;

 private:
  class pump;
  std::unique_ptr<pump> pump_;
};

}  // namespace sluice::live
