// A host thread that raises the events it is given, one after another, and tells how far it has come.
//
// give, close and the destructor: one thread. done and await: any thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "kernel_port/sim/machine.h"
#include "kernel_port/sources/replay/raise_plan.h"

namespace sluice::replay {

class lane {
 public:
  using raise_function = std::function<void(sim::activity&, const planned_event&)>;
  // `await` returns when another lane has come that far.
  lane(sim::machine& machine, uint32_t number, raise_function raise, std::function<void(lane_step)> await);
  ~lane() { close(); }
  lane(const lane&) = delete;
  lane& operator=(const lane&) = delete;

  // Blocks while too much waits here.
  void give(planned_event&& event);
  // What was given is still raised; then the thread ends.
  void close();

  uint64_t done() const { return done_.load(std::memory_order_acquire); }  // pairs with the release in run()
  void await(uint64_t ticket) const;

 private:
  static constexpr size_t most_waiting = 1024;
  void run(sim::machine& machine, uint32_t number);

  const raise_function raise_;
  const std::function<void(lane_step)> await_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<planned_event> waiting_;
  bool closed_ = false;
  std::atomic<uint64_t> done_{0};
  std::thread thread_;
};

}  // namespace sluice::replay
