// LTTng-UST beside us: a tracepoint with 64 bytes of payload into its buffers of one CPU, emptied by its consumer daemon into files in
// memory. A session daemon of our own, as a child; nothing is left when it ends.
#pragma once

#include <sys/types.h>

#include <string>

#include "bench/curve/cell.h"

namespace sluice::bench {

class lttng_daemon {
 public:
  // Before main does anything else: LTTng reads its home when the program starts, so the program may start once more, in a home of its
  // own. `arguments` as main has them.
  static void prepare(char** arguments);

  lttng_daemon();  // waits until tracepoints of this process can be enabled
  ~lttng_daemon();
  lttng_daemon(const lttng_daemon&) = delete;
  lttng_daemon& operator=(const lttng_daemon&) = delete;

  // Empty: it runs. Otherwise what is missing.
  const std::string& why_not() const { return why_not_; }
  pid_t consumer() const;  // the process that empties the buffers; 0: not started yet

 private:
  pid_t pid_ = 0;
  std::string why_not_;
};

// A traced session with one channel. Throws std::runtime_error. One at a time.
class lttng_session {
 public:
  static constexpr uint64_t sub_buffers = 4;  // LTTng's default

  explicit lttng_session(uint64_t bytes_per_cpu);
  ~lttng_session();
  lttng_session(const lttng_session&) = delete;
  lttng_session& operator=(const lttng_session&) = delete;

  // Events that LTTng says it has discarded.
  uint64_t stop();

 private:
  std::string output_;
  bool running_ = false;
};

cell_result measure_lttng(const cell& asked, const lttng_daemon& daemon);

// One repetition, nanoseconds per tracepoint. The session runs.
double time_tracepoints(uint64_t events);

}  // namespace sluice::bench
