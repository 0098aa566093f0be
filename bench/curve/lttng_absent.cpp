// Where LTTng is not installed.
#include "bench/curve/lttng.h"

namespace sluice::bench {

void lttng_daemon::prepare(char**) {}
lttng_daemon::lttng_daemon() : why_not_("built without LTTng (lttng-tools, liblttng-ust-dev, liblttng-ctl-dev)") {}
lttng_daemon::~lttng_daemon() = default;
pid_t lttng_daemon::consumer() const { return pid_; }

lttng_session::lttng_session(uint64_t) {}
lttng_session::~lttng_session() = default;
uint64_t lttng_session::stop() { return running_ ? output_.size() : 0; }

cell_result measure_lttng(const cell&, const lttng_daemon& daemon) {
  cell_result none;
  none.failure = daemon.why_not();
  return none;
}
double time_tracepoints(uint64_t) { return 0; }

}  // namespace sluice::bench
