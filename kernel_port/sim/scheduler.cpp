#include "kernel_port/sim/scheduler.h"

#include <sched.h>

#include <thread>

#include "kernel_port/sim/internal_lock.h"
#include "kernel_port/sim/processor.h"

namespace sluice::sim {

scheduler the_scheduler;

void scheduler::start(uint64_t seed) {
  seed_ = seed;
  threads_seen_ = 0;
  set_raise_attention(raise_attention_perturb, seed != 0 || takes_turns_);
}

void scheduler::stop() {
  start(0);
}

uint64_t scheduler::next_random() {
  thread_state& thread = self();
  if (thread.random == 0) {
    thread.random = seed_ * 0x9e3779b97f4a7c15u + (threads_seen_.fetch_add(1) + 1) * 0xbf58476d1ce4e5b9u;
    if (thread.random == 0) thread.random = 1;
  }
  // splitmix64
  uint64_t z = thread.random += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

bool scheduler::chance(uint32_t n) {
  if (takes_turns_) return turns_.next_random() % n == 0;
  return perturbs() && next_random() % n == 0;
}

// Windows moves a thread to another processor at any moment below DISPATCH_LEVEL.
void scheduler::migrate_sometimes(uint64_t random) {
  thread_state& thread = self();
  if (thread.host && !thread.host->pinned && thread.irql < DISPATCH_LEVEL && random % 16 == 0) {
    move_to_any_processor(thread, static_cast<uint32_t>(random >> 5));
  }
}

void scheduler::take_turn(point_kind kind) {
  if (kind == point_kind::raise) migrate_sometimes(turns_.next_random());
  turns_.point(kind);
}

void scheduler::perturb(point_kind kind) {
  const uint64_t random = next_random();
  if (kind == point_kind::raise) migrate_sometimes(random >> 40);
  switch (random % 64) {
    case 0:
    case 1:
    case 2:
    case 3:
      sched_yield();
      break;
    case 4:
      std::this_thread::sleep_for(std::chrono::microseconds(1 + (random >> 8) % 50));
      break;
    case 5:
      for (uint64_t i = (random >> 8) % 200; i > 0; --i) __builtin_ia32_pause();
      break;
    default:
      break;
  }
}

void scheduler::yield() {
  // A spinning thread may be the one that keeps the awaited thread off the host's processor.
  sched_yield();
}

bool scheduler::wait(parker& own, std::optional<deadline> until) {
  internal_section section;
  if (takes_turns_) return turns_.wait(own, until);
  std::unique_lock lock(own.mutex);
  bool in_time = true;
  if (!own.token) {
    if (until) {
      in_time = own.condition.wait_until(lock, *until) == std::cv_status::no_timeout;
    } else {
      own.condition.wait(lock);
    }
  }
  if (own.token) in_time = true;
  own.token = false;
  return in_time;
}

void scheduler::wake(parker& other) {
  internal_section section;
  if (takes_turns_) return turns_.wake(other);
  std::lock_guard lock(other.mutex);
  other.token = true;
  other.condition.notify_one();
}

}  // namespace sluice::sim
