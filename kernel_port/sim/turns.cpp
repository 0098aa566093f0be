#include "kernel_port/sim/turns.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "kernel_port/sim/scheduler.h"

namespace sluice::sim {
namespace {

constexpr uint32_t nobody = ~uint32_t{0};
constexpr std::chrono::milliseconds longest_leap{200};
thread_local uint32_t own_turn = nobody;

const char* name_of(point_kind kind) {
  switch (kind) {
    case point_kind::raise: return "raise";
    case point_kind::lower: return "lower";
    case point_kind::leave_region: return "leave region";
    case point_kind::dpc: return "DPC";
    case point_kind::wait: return "wait";
    case point_kind::wake: return "wake";
    case point_kind::callback: return "callback";
    case point_kind::dispatch: return "dispatch";
    case point_kind::clock: return "clock";
    case point_kind::spin: return "spin";
    case point_kind::access: return "access";
  }
  return "?";
}

}  // namespace

void turns::start(uint64_t seed, uint64_t most_points, observer observe, failure fail) {
  threads_.clear();
  threads_.emplace_back();
  running_ = own_turn = 0;
  random_ = seed * 0x9e3779b97f4a7c15u + 0x632be59bd9b4e019u;
  most_points_ = most_points;
  observe_ = std::move(observe);
  fail_ = std::move(fail);
  fingerprint_ = seed;
  switches_ = points_ = 0;
  // How often threads change places, and by which rule, is a matter of the run: races of two need many switches, a thread that
  // stands still for long at one place needs few.
  constexpr uint64_t means[] = {2, 4, 8, 16, 32, 64, 200, 1000};
  mean_points_ = means[next_random() % 8];
  by_priority_ = next_random() % 3 == 0;
  skews_ = next_random();
  threads_[0].priority = next_random();
  threads_[0].state = &self();
  step_ = 100;
  now_ = started_at_ = (1000 + next_random() % 1000) * 1'000'000'000;
  plan_next();
}

void turns::stop() {
  own_turn = nobody;
  observe_ = nullptr;
  fail_ = nullptr;
}

uint64_t turns::next_random() {
  // splitmix64
  uint64_t z = random_ += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

uint32_t turns::own_number() const { return own_turn; }

// When the next switch is, and how time passes until then: not at all, slower than a tick, or faster.
void turns::plan_next() {
  points_left_ = 1 + next_random() % (2 * mean_points_);
  if (next_random() % 16 == 0) {
    constexpr uint64_t steps[] = {0, 7, 30, 100, 100, 300, 1000, 20'000};
    step_ = steps[next_random() % 8];
  }
}

void turns::point(point_kind kind) {
  if (own_turn == nobody) return;  // a thread of the host's that takes no part
  if (++points_ > most_points_) give_up("the run does not end");
  now_ += step_;
  // The simulation's own locks are never held across a switch.
  if (self().inside != 0) return;
  if (kind == point_kind::spin) {
    now_ += 100;
    switch_away(name_of(kind), true);
  } else if (--points_left_ == 0) {
    switch_away(name_of(kind), false);
  } else {
    return;
  }
  deliver_requests_if_any(self());
}

bool turns::can_run(const thread& one) const {
  if (one.is == condition::ready) return true;
  return one.is == condition::waiting && one.until && *one.until <= now();
}

uint32_t turns::choose(bool yields) {
  for (;;) {
    candidates_.clear();
    const thread* first_due = nullptr;
    for (uint32_t i = 0; i < threads_.size(); ++i) {
      const thread& each = threads_[i];
      if (can_run(each)) {
        candidates_.push_back(i);
      } else if (each.is == condition::waiting && each.until && (!first_due || *each.until < *first_due->until)) {
        first_due = &each;
      }
    }
    // A wait can time out while others are busy, but not a long one: who could run has run for so long then.
    const bool leaps = first_due && next_random() % 64 == 0 && *first_due->until - now() < longest_leap;
    if (candidates_.empty() || leaps) {
      if (first_due) {
        now_ = static_cast<uint64_t>(first_due->until->time_since_epoch().count()) +
               (next_random() % 4 == 0 ? next_random() % 30'000'000 : 0);
        continue;
      }
      if (candidates_.empty()) give_up("everybody waits, and nothing will ever wake anybody");
    }
    break;
  }
  if (!by_priority_) return candidates_[next_random() % candidates_.size()];
  // Now and then somebody else becomes the most urgent; who turns in a loop becomes the least.
  if (yields) threads_[running_].priority = next_random() >> 32;
  if (next_random() % 8 == 0) threads_[candidates_[next_random() % candidates_.size()]].priority = next_random();
  uint32_t best = candidates_[0];
  for (const uint32_t each : candidates_) {
    if (threads_[each].priority > threads_[best].priority) best = each;
  }
  return best;
}

void turns::switch_away(const char* at, bool yields) {
  thread& own = threads_[running_];
  const uint32_t to = choose(yields);
  plan_next();
  if (hand_over(to, at)) stand(own);
}

bool turns::hand_over(uint32_t to, const char* at) {
  note(uint64_t{to} << 32 ^ points_);
  note(now_);
  ++switches_;
  if (observe_) observe_({switches_, points_, now_ - started_at_, running_, to, at});
  if (to == running_) return false;
  threads_[running_].stands_since = switches_;
  thread& next = threads_[to];
  running_ = to;
  next.go.store(1, std::memory_order_release);  // pairs with the acquire in stand: all that was done before the turn
  syscall(SYS_futex, &next.go, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  return true;
}

void turns::stand(thread& one) {
  while (one.go.load(std::memory_order_acquire) == 0) {
    syscall(SYS_futex, &one.go, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
  }
  one.go.store(0, std::memory_order_relaxed);
}

bool turns::wait(parker& own, std::optional<deadline> until) {
  thread& self_thread = threads_[own_turn];
  if (!own.token) {
    self_thread.is = condition::waiting;
    self_thread.parked_in = &own;
    self_thread.until = until;
    switch_away("waits", false);
    self_thread.is = condition::ready;
    self_thread.parked_in = nullptr;
    self_thread.until.reset();
  }
  const bool in_time = own.token || !until || now() < *until;
  own.token = false;
  return in_time;
}

void turns::wake(parker& other) {
  other.token = true;
  for (thread& each : threads_) {
    if (each.parked_in == &other) each.is = condition::ready;
  }
}

turns::thread* turns::enroll() {
  thread& made = threads_.emplace_back();
  made.number = static_cast<uint32_t>(threads_.size() - 1);
  made.priority = next_random();
  return &made;
}

void turns::begin(thread& own) {
  own_turn = own.number;
  own.state = &self();
  stand(own);
}

void turns::end() {
  thread& own = threads_[own_turn];
  own.is = condition::ended;
  wake(own.joiner);
  own_turn = nobody;
  const uint32_t to = choose(false);
  plan_next();
  hand_over(to, "ends");
}

void turns::join(thread& other) {
  while (other.is != condition::ended) wait(other.joiner, {});
}

void turns::give_up(const char* why) {
  fprintf(stderr, "\nthreads that have not ended:\n");
  for (const thread& each : threads_) {
    if (each.is == condition::ended) continue;
    const thread_state* const state = each.state;
    const host_thread* const host = state != nullptr ? state->host : nullptr;
    fprintf(stderr, "  %u: %s since switch %lu", each.number, each.is == condition::waiting ? "waits" : "can run", each.stands_since);
    if (host != nullptr) {
      fprintf(stderr, "; thread %u of process %u, CPU %u, IRQL %u%s%s", host->tid.load(), host->pid.load(), host->cpu_index.load(),
              state->irql, state->critical != 0 ? ", in a critical region" : "", host->parked.load() != 0 ? ", suspended" : "");
    }
    fprintf(stderr, "\n");
  }
  if (fail_) fail_(why);
  std::abort();
}

}  // namespace sluice::sim
