// Lets the one who conducts the run bring every writer to rest and on again. A thread parks only where it holds nothing.
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

namespace sluice::stress {

class gate {
 public:
  // For the threads behind the gate: false once the run is over. `before` runs each time before it parks.
  template <class preparation>
  bool pass(preparation&& before) {
    if (state_.load(std::memory_order_relaxed) == open) [[likely]] return true;
    before();
    parked_.fetch_add(1, std::memory_order_release);  // its tallies may be read: pairs with the acquire in wait_parked
    state_.wait(closed, std::memory_order_acquire);  // asleep: those who play on have the host's processors
    if (state_.load(std::memory_order_acquire) == over) return false;
    parked_.fetch_sub(1, std::memory_order_relaxed);
    return true;
  }
  bool is_open() const { return state_.load(std::memory_order_relaxed) == open; }

  void close() { state_.store(closed, std::memory_order_relaxed); }
  bool all_parked(uint32_t threads) const { return parked_.load(std::memory_order_acquire) == threads; }
  // Only once all are parked, and again only after all have left: see reopen's wait.
  void reopen() {
    state_.store(open, std::memory_order_release);
    state_.notify_all();
    while (parked_.load(std::memory_order_relaxed) != 0) std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  void end() {
    state_.store(over, std::memory_order_release);
    state_.notify_all();
  }

 private:
  static constexpr int open = 0, closed = 1, over = 2;
  std::atomic<int> state_{open};
  std::atomic<uint32_t> parked_{0};
};

}  // namespace sluice::stress
