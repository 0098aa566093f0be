// What happens to a machine while others work on it: its clocks, its processors, its threads, and who else talks to the driver.
#pragma once

#include <atomic>
#include <deque>

#include "stress/deterministic/activity.h"
#include "stress/driver_account.h"

namespace sluice::stress {

class deterministic_disturber {
 public:
  deterministic_disturber(sim::machine& machine, const run_plan& plan, const std::deque<deterministic_activity>& activities,
                          driver_client& client, statistics_reader& statistics, const std::atomic<bool>& stop);
  // Until the activities have ended. Leaves the counter running, every thread running and no filter.
  void run();

 private:
  void step();
  void move_counter();
  void suspend_one();
  void change_filter(bool clear);
  void choose_types(uint64_t types);
  void open_and_ask();

  sim::machine& machine_;
  const run_plan& plan_;
  const std::deque<deterministic_activity>& activities_;
  driver_client& client_;
  statistics_reader& statistics_;
  const std::atomic<bool>& stop_;
  random_source random_;
};

}  // namespace sluice::stress
