// One host thread at a time: who runs, what the clocks say and every choice that the machine leaves open follow from one seed.
//
// A thread gives its turn away only at a point of the scheduler (scheduler.h) and in a wait; the others stand in a futex. Time
// passes only here: a little at every point, to the next deadline when everybody waits, and by leaps now and then. Threads that take
// part are started by scheduled_thread, in an order that the seed decides too; so the same seed gives the same run, whatever the host
// does. Which instructions lie between two points is never cut: what needs a switch there is not found (docs/deterministic.md).
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "kernel_port/sim/thread_state.h"

namespace sluice::sim {

using deadline = std::chrono::steady_clock::time_point;
enum class point_kind : uint8_t;

// What a run did, for whoever prints or compares it. Called by the thread that has the turn.
struct turn {
  uint64_t number;       // of switches, from 1
  uint64_t points;       // passed so far
  uint64_t nanoseconds;  // of the machine's time, since it was switched on
  uint32_t from;         // threads, in the order in which they were started
  uint32_t to;
  const char* at;        // which point, or what it waits for
};

class turns {
 public:
  using observer = std::function<void(const turn&)>;
  // Called when the run cannot go on: nobody can ever run again, or the limit of points is passed. Does not return.
  using failure = std::function<void(const char* why)>;

  // The caller becomes thread 0 and has the turn. `most_points`: a run that takes more does not end.
  void start(uint64_t seed, uint64_t most_points, observer observe, failure fail);
  void stop();  // by thread 0, when the others have ended

  void point(point_kind kind);
  bool wait(parker& own, std::optional<deadline> until);
  void wake(parker& other);

  deadline now() const { return deadline(std::chrono::nanoseconds(now_)); }
  uint64_t nanoseconds() const { return now_; }
  // What the performance counter of this CPU is ahead, in ticks: one at most, as Windows promises.
  uint32_t skew(uint32_t cpu) const { return static_cast<uint32_t>(skews_ >> (cpu % 64) & 1); }
  uint64_t next_random();

  // Into what tells runs apart (fingerprint).
  void note(uint64_t value) { fingerprint_ = (fingerprint_ ^ value) * 0x9e3779b97f4a7c15u ^ (fingerprint_ >> 29); }
  uint64_t fingerprint() const { return fingerprint_; }
  uint64_t switches() const { return switches_; }
  uint64_t points() const { return points_; }

  // scheduled_thread's.
  enum class condition : uint8_t { ready, waiting, ended };
  struct thread {
    uint32_t number = 0;
    uint64_t stands_since = 0;  // which switch
    const thread_state* state = nullptr;
    std::atomic<uint32_t> go{0};
    condition is = condition::ready;
    const parker* parked_in = nullptr;
    std::optional<deadline> until;
    uint64_t priority = 0;
    parker joiner;
  };

  thread* enroll();           // the caller's new thread, ready to run; stays where it is until the next start
  void begin(thread& own);    // by that thread: returns when it has its first turn
  void end();                 // by that thread, last
  void join(thread& other);   // returns when it has ended
  uint32_t own_number() const;

 private:
  void switch_away(const char* at, bool yields);
  bool can_run(const thread& one) const;
  uint32_t choose(bool yields);
  void plan_next();
  bool hand_over(uint32_t to, const char* at);  // false: to who has it
  void stand(thread& one);
  [[noreturn]] void give_up(const char* why);

  std::deque<thread> threads_;
  std::vector<uint32_t> candidates_;
  uint32_t running_ = 0;
  uint64_t random_ = 0;
  uint64_t now_ = 0;
  uint64_t started_at_ = 0;
  uint64_t step_ = 0;          // nanoseconds that pass at a point
  uint64_t points_left_ = 0;   // until the next switch
  uint64_t mean_points_ = 0;   // between switches
  bool by_priority_ = false;   // the thread with the highest priority runs, but for a few changes; else any
  uint64_t skews_ = 0;
  uint64_t fingerprint_ = 0;
  uint64_t switches_ = 0;
  uint64_t points_ = 0;
  uint64_t most_points_ = 0;
  observer observe_;
  failure fail_;
};

}  // namespace sluice::sim
