// A host thread of the machine's, or of a test's, that takes its turns when threads run one at a time; else a std::thread.
#pragma once

#include <thread>
#include <utility>

#include "kernel_port/sim/scheduler.h"

namespace sluice::sim {

class scheduled_thread {
 public:
  scheduled_thread() = default;
  template <class function>
  explicit scheduled_thread(function body) {
    if (!the_scheduler.takes_turns()) {
      host_ = std::thread(std::move(body));
      return;
    }
    turn_ = the_scheduler.the_turns().enroll();
    host_ = std::thread([turn = turn_, body = std::move(body)]() mutable {
      the_scheduler.the_turns().begin(*turn);
      body();
      the_scheduler.the_turns().end();
    });
  }
  scheduled_thread(scheduled_thread&&) = default;
  scheduled_thread& operator=(scheduled_thread&&) = default;

  void join() {
    if (the_scheduler.takes_turns()) the_scheduler.the_turns().join(*turn_);
    host_.join();
  }
  bool joinable() const { return host_.joinable(); }

 private:
  turns::thread* turn_ = nullptr;
  std::thread host_;
};

}  // namespace sluice::sim
