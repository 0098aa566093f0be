// The thread behind live_source: reads the perf rings, merges, and drives the correlator. It sleeps in poll(2) until a
// record comes, the stop is asked for, or the correlator has something to look at; an idle machine never wakes it.
#pragma once

#include <poll.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "kernel_port/sources/live/live_source.h"
#include "kernel_port/sources/live/perf_event.h"
#include "kernel_port/sources/live/proc_names.h"
#include "kernel_port/sources/live/record_merge.h"

namespace sluice::live {

class live_source::pump {
 public:
  pump(const live_options& options, sink_factory make_sink);
  ~pump();

  void start();
  void stop();
  source_statistics statistics() const;
  std::optional<std::string> failure() const;

 private:
  struct watched_cpu {
    perf_event event;
    uint64_t announced_lost = 0;
  };

  void open_events();
  void run();
  void watch(correlator& correlator, const activity_sink& sink);
  void read_rings(record_merge& merge);
  void count_lost();
  void reconcile(correlator& correlator, uint64_t horizon);
  void sleep(std::optional<uint64_t> until);
  void wake();
  void publish(const activity_sink& sink);

  const live_options options_;
  const sink_factory make_sink_;
  proc_names names_;
  std::vector<watched_cpu> cpus_;
  int wake_descriptor_ = -1;
  std::vector<pollfd> polled_;  // each CPU's event, then wake_descriptor_
  std::thread thread_;
  std::atomic<bool> started_{false};   // or failed to
  std::atomic<uint64_t> stop_time_{0};  // 0: run

  // The pump thread's own.
  source_statistics counted_;
  std::optional<process_snapshot> snapshot_;  // taken after a loss, waits for its place
  uint64_t next_snapshot_ = 0;

  mutable std::mutex mutex_;
  source_statistics published_;
  std::optional<live_error> failure_;
};

}  // namespace sluice::live
