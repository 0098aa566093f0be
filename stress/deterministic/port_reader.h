// A client of the driver's port that checks order, identity and its own account, and comes and goes.
#pragma once

#include <atomic>
#include <functional>
#include <vector>

#include "kernel_port/sim/filter_port_client.h"
#include "pipeline/batch.h"
#include "stress/deterministic/plan.h"
#include "stress/random.h"

namespace sluice::stress {

class port_reader {
 public:
  port_reader(sim::machine& machine, const run_plan& plan, uint32_t index, const std::atomic<bool>& stop);
  void run();
  uint64_t records() const { return records_; }

 private:
  bool connect();
  bool read();
  void check_batch(uint64_t bytes);
  void check_account();
  void choose_types(uint64_t types);

  sim::machine& machine_;
  const run_plan& plan_;
  const uint32_t index_;
  const std::atomic<bool>& stop_;
  random_source random_;
  sim::filter_port port_;
  std::vector<uint8_t> buffer_;
  uint64_t last_time_ = 0;
  uint32_t last_ring_ = 0;
  std::vector<uint64_t> next_position_;
  uint64_t records_ = 0;
};

}  // namespace sluice::stress
