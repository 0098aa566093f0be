#include "kernel_port/sources/live/correlator.h"

#include <algorithm>

namespace sluice::live {

correlator::correlator(activity_sink& sink, name_source& names, const correlator_options& options,
                       source_statistics& statistics)
    : names_(names),
      statistics_(statistics),
      look_ahead_(names, options.fork_window, options.retry_interval),
      tracker_(sink, statistics) {}

void correlator::begin(const process_snapshot& snapshot) {
  begin_time_ = snapshot.begin;
  for (const snapshot_process& process : snapshot.processes) {
    // The first of the kernel's own threads starts all the others, and no program.
    if (process.kernel_thread && process.parent_pid == 0) look_ahead_.set_kernel_parent(process.pid);
  }
  tracker_.begin(snapshot);
}

void correlator::observe(linux_record&& record) {
  if (record.kind == record_kind::lost) {
    wants_reconciliation_ = true;
    loss_cpu_ = record.cpu;
    tracker_.expect_reconciliation();
    return;
  }
  if (record.time < begin_time_) {
    ++statistics_.before_start;
    return;
  }
  queue_.emplace_back(look_ahead_.observe(std::move(record)));
  statistics_.longest_queue = std::max<uint64_t>(statistics_.longest_queue, queue_.size());
}

void correlator::advance(uint64_t horizon) {
  look_ahead_.retry(horizon);
  while (!queue_.empty()) {
    if (auto* observed = std::get_if<observed_record>(&queue_.front())) {
      observed->unannounced = observed->executed && !tracker_.knows(observed->record.pid);
      if (!look_ahead_.decide(*observed, horizon)) break;
      raise(*observed);
    } else {
      --open_reconciliations_;
      tracker_.reconcile(std::get<process_snapshot>(queue_.front()), loss_cpu_,
                         wants_reconciliation_ || open_reconciliations_ > 0);
    }
    queue_.pop_front();
  }
}

void correlator::raise(observed_record& observed) {
  const linux_record& record = observed.record;
  if (stop_time_ && record.time > *stop_time_) {
    ++statistics_.after_stop;
    return;
  }
  tracker_.raise(observed);
  uint64_t now = names_.now();
  statistics_.add_delay(now > record.time ? now - record.time : 0);
  if (record.kind == record_kind::exit && !tracker_.knows(record.pid)) look_ahead_.forget(record.pid, record.time);
}

std::optional<uint64_t> correlator::next_look() const {
  static const observed_record nothing;
  const observed_record* front = queue_.empty() ? nullptr : std::get_if<observed_record>(&queue_.front());
  return look_ahead_.next_look(front != nullptr ? *front : nothing);
}

bool correlator::stopped() const {
  return stop_time_ && std::none_of(queue_.begin(), queue_.end(), [&](const entry& waiting) {
           const auto* observed = std::get_if<observed_record>(&waiting);
           return observed != nullptr && observed->record.time <= *stop_time_;
         });
}

void correlator::begin_reconciliation() {
  wants_reconciliation_ = false;
  ++open_reconciliations_;
}

void correlator::reconcile(process_snapshot&& snapshot) {
  queue_.emplace_back(std::move(snapshot));
}

}  // namespace sluice::live
