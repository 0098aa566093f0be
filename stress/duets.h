// Duets: with everybody else at rest, one writer against a consumer that is about to sleep, many times over. A wake-up that
// is lost is not covered by the next one: nobody else writes, and the consumer's watchdog finds the record (W1).
#pragma once

#include "stress/random.h"
#include "stress/writer.h"

namespace sluice::stress {

// A thread of its own, so that it can be suspended: writes one event after another while it is asked to.
class soloist {
 public:
  soloist(rig& on, uint32_t index);
  ~soloist();
  soloist(const soloist&) = delete;
  soloist& operator=(const soloist&) = delete;

  void play();
  void rest();  // returns when it writes nothing any more
  uint32_t tid() const { return first_event_tid + events_.index(); }
  writer& events() { return events_; }

 private:
  void run();
  void write_one();

  static constexpr int resting = 0, playing = 1, ending = 2;
  rig& rig_;
  writer events_;
  random_source random_;
  std::atomic<int> wish_{resting};
  std::atomic<bool> rests_{true};
  std::atomic<bool> attached_{false};
  std::thread thread_;
};

class duets {
 public:
  // Calls of play() come from one thread, which holds an activity.
  duets(rig& on, soloist& with, uint32_t writer_index);

  void play(uint32_t rounds);  // at most
  // One event on every CPU, so that whatever gap is open there is announced.
  void ring_bells();
  writer& events() { return events_; }
  uint64_t rounds() const { return rounds_; }

  // Until the consumer has taken everything; a consumer that does not within a minute is a violation.
  void wait_drained(const char* after);

 private:
  void play_one();
  void write(uint16_t type);
  void hold_and_close(bool keep);
  void hold_under_another(bool keep);
  void hand_over();
  void suspend_soloist(std::chrono::steady_clock::time_point enough);
  void hesitate(uint32_t most);

  rig& rig_;
  soloist& soloist_;
  writer events_;
  random_source random_;
  uint64_t rounds_ = 0;
};

}  // namespace sluice::stress
