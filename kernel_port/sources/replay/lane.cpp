#include "kernel_port/sources/replay/lane.h"

#include <utility>

namespace sluice::replay {
namespace {

constexpr uint32_t system_process = 4;
constexpr uint32_t first_lane_thread = 3;  // no id of NT: those are multiples of 4

}  // namespace

lane::lane(sim::machine& machine, uint32_t number, raise_function raise, std::function<void(lane_step)> await)
    : raise_(std::move(raise)), await_(std::move(await)), thread_([this, &machine, number] { run(machine, number); }) {}

void lane::give(planned_event&& event) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return waiting_.size() < most_waiting; });
  waiting_.push_back(std::move(event));
  lock.unlock();
  changed_.notify_all();
}

void lane::close() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void lane::await(uint64_t ticket) const {
  for (uint64_t now = done(); now < ticket; now = done()) done_.wait(now, std::memory_order_acquire);
}

void lane::run(sim::machine& machine, uint32_t number) {
  sim::activity activity(machine, number % machine.options().processors, system_process, first_lane_thread + 4 * number);
  std::deque<planned_event> taken;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !waiting_.empty() || closed_; });
      if (waiting_.empty()) return;
      std::swap(taken, waiting_);
    }
    changed_.notify_all();
    for (; !taken.empty(); taken.pop_front()) {
      for (const lane_step& step : taken.front().after) {
        if (step.ticket != 0) await_(step);
      }
      raise_(activity, taken.front());
      done_.store(done_.load(std::memory_order_relaxed) + 1, std::memory_order_release);  // one writer; pairs with done()
      done_.notify_all();
    }
  }
}

}  // namespace sluice::replay
