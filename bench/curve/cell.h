// One point of the curve: what was asked for, and what came of it. Written as one line of JSON on stdout.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/curve/consumer_kind.h"
#include "bench/curve/drop_check.h"
#include "bench/curve/generator.h"

namespace sluice::bench {

struct load_shape {
  std::string name = "steady";
  std::vector<double> levels = {1.0};
  std::string file;  // of a recording, for another process
};

struct cell {
  std::string design;
  uint64_t ring_bytes;
  consumer_kind consumer;
  const load_shape* shape;
  double rate;      // events a second, on the mean
  uint64_t length;  // nanoseconds
  bool timeline = false;  // keep the intervals, for a picture
};

struct cell_result {
  generated load;
  bool checked = false;   // the design announces what it drops: joined
  drop_join joined;
  std::vector<stall> stalls;
  uint64_t away = 0;      // nanoseconds: the longest time that a consumer in process was kept from its processor, or slept
  uint64_t received = 0;  // events, the one that closes the gap included
  std::string failure;    // the run itself went wrong
};

// Prints it. False: a violation, or a failure.
bool report(const cell& asked, const cell_result& result);

// What an event says that a consumer was given; keeps what the check wants. One thread.
class curve_arrivals {
 public:
  void event(uint64_t number) {
    for (announced_loss& loss : waiting_) {
      loss.next = number;
      losses_.push_back(loss);
    }
    waiting_.clear();
    in_order_ &= number >= next_;
    next_ = number + 1;
    ++received_;
  }
  void loss(uint64_t first_time, uint64_t last_time, uint64_t events) { waiting_.push_back({first_time, last_time, events, 0}); }

  uint64_t received() const { return received_; }
  uint64_t next() const { return next_; }
  bool in_order() const { return in_order_; }
  const std::vector<announced_loss>& losses() const { return losses_; }

 private:
  std::vector<announced_loss> waiting_;
  std::vector<announced_loss> losses_;
  uint64_t received_ = 0;
  uint64_t next_ = 0;
  bool in_order_ = true;
};

// Joins, and compares what came with what was taken.
void settle(cell_result& result, const curve_arrivals& seen, const ring_room& room);

cell_result measure_in_process(const cell& asked);
cell_result measure_transport(const cell& asked);

}  // namespace sluice::bench
