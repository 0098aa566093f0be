// The measurement of one contestant: one producer, one consumer on the other processor, lossless. A contestant is
//
//   struct contestant {
//     static std::string name();
//     void push(const event_payload&);      stamps the event with the contestant's clock; waits while there is no room
//     void finish();                        pushes what it still holds back
//     size_t drain(visit);                  visit(time, const uint8_t* payload) for what is there; 0: nothing
//     using clock = ...;
//   };
//
// handover/NAME/REST/CLOCK  saturated: the producer pushes as fast as it can. `ns` per event, at the consumer, after one
//                           lap; and the latency from stamp to consumption of every 16th event.
// paced/NAME/REST/CLOCK     one event every 500 ns, so that nothing queues: latency of every event.
//
// REST: the consumer begins one drain at most every so many nanoseconds. A consumer that polls without rest fights for
// the producer's line; one that rests adds latency. The same for everybody.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "bench/event.h"
#include "bench/suite.h"
#include "bench/support.h"
#include "bench/two_cpus.h"

namespace sluice::bench {

inline constexpr uint64_t queue_events = 16384;       // room of every peer; our ring: 1 MiB
inline constexpr uint64_t paced_interval = 500;       // nanoseconds
inline constexpr uint64_t sampled_of_saturated = 16;  // every 16th event's latency

// What arrives: checks every event, and notes times.
template <class clock>
class arrivals {
 public:
  explicit arrivals(uint64_t sample_every) : sample_mask_(sample_every - 1) {}

  SLUICE_ALWAYS_INLINE void operator()(uint64_t time, const uint8_t* bytes) {
    event_payload payload;
    std::memcpy(&payload, bytes, sizeof payload);
    wrong_ += payload.words[0] != count_;
    sum_ += sum_of(payload);
    if ((count_ & sample_mask_) == 0) waiting_.push_back(time);
    ++count_;
  }
  // The drain is over: what was noted has been consumed now.
  void consumed() {
    if (waiting_.empty()) return;
    const uint64_t now = clock().now();
    for (const uint64_t time : waiting_) latencies_.push_back(now > time ? now - time : 0);
    waiting_.clear();
  }

  uint64_t count() const { return count_; }
  void reserve(uint64_t events) {
    latencies_.reserve(events);
    waiting_.reserve(events);
  }
  // But the last: a run that is over with its next drain has one all the same.
  void forget_latencies() {
    if (!latencies_.empty()) latencies_.erase(latencies_.begin(), latencies_.end() - 1);
  }

  void report(benchmark::State& state, uint64_t expected) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < expected; ++i) sum += sum_of(make_payload(i));
    if (count_ != expected || wrong_ != 0 || sum != sum_) {
      return state.SkipWithError("events were lost, doubled or out of order");
    }
    std::sort(latencies_.begin(), latencies_.end());
    if (latencies_.empty()) return;
    const auto at = [this](double share) {
      const size_t index = static_cast<size_t>(static_cast<double>(latencies_.size()) * share);
      return clock::nanoseconds(latencies_[std::min(index, latencies_.size() - 1)]);
    };
    state.counters["latency_p50"] = at(0.5);
    state.counters["latency_p99"] = at(0.99);
  }

 private:
  uint64_t sample_mask_;
  uint64_t count_ = 0;
  uint64_t sum_ = 0;
  uint64_t wrong_ = 0;
  std::vector<uint64_t> waiting_;
  std::vector<uint64_t> latencies_;
};

// Begins one step at most every `nanoseconds`.
class pacer {
 public:
  explicit pacer(uint64_t nanoseconds)
      : ticks_(static_cast<uint64_t>(static_cast<double>(nanoseconds) * counter_ticks_per_nanosecond())),
        next_(read_counter()) {}
  SLUICE_ALWAYS_INLINE void wait() {
    if (ticks_ == 0) return;
    while (static_cast<int64_t>(read_counter() - next_) < 0) relax(1);
    next_ = read_counter() + ticks_;
  }

 private:
  uint64_t ticks_;
  uint64_t next_;
};

// Ends the program if nothing has arrived for 20 s: an event is lost for good, and its consumer would wait for ever.
class patience {
 public:
  explicit patience(std::string what) : what_(std::move(what)) {}
  void idle() {
    if (++idle_ % 65536 != 0) return;
    const uint64_t now = monotonic_nanoseconds();
    if (since_ == 0) since_ = now;
    if (now - since_ < 20'000'000'000) return;
    std::fprintf(stderr, "\nsluice_bench: %s: waited 20 s for the next event: one is lost\n", what_.c_str());
    std::_Exit(1);
  }
  void arrived() { since_ = idle_ = 0; }

 private:
  std::string what_;
  uint64_t idle_ = 0;
  uint64_t since_ = 0;
};

// The consumer's loop: drains until `all` have come, at most every `rest`; `then` after each drain.
template <class contestant, class action>
void consume(contestant& queue, arrivals<typename contestant::clock>& seen, uint64_t all, uint64_t rest, action&& then) {
  pacer steps(rest);
  patience waiting(contestant::name());
  while (seen.count() < all) {
    steps.wait();
    if (queue.drain(seen) == 0) {
      waiting.idle();
      relax();
    } else {
      waiting.arrived();
    }
    seen.consumed();
    then();
  }
}

template <class contestant>
void saturate(benchmark::State& state, uint64_t rest, uint64_t events) {
  using clock = typename contestant::clock;
  contestant queue;
  arrivals<clock> seen(sampled_of_saturated);
  const uint64_t warm = queue_events;
  const uint64_t all = warm + events;
  seen.reserve(all / sampled_of_saturated + 1);
  double each = 0;
  run_on_two_cpus(
      [&] {
        for (uint64_t i = 0; i < all; ++i) queue.push(make_payload(i));
        queue.finish();
      },
      [&] {
        uint64_t begin = monotonic_nanoseconds(), before = 0;
        consume(queue, seen, all, rest, [&] {
          if (before != 0 || seen.count() < warm || seen.count() == all) return;
          seen.forget_latencies();
          before = seen.count();
          begin = monotonic_nanoseconds();
        });
        each = static_cast<double>(monotonic_nanoseconds() - begin) / static_cast<double>(all - before);
      });
  state.counters["ns"] = each;
  seen.report(state, all);
}

template <class contestant>
void pace(benchmark::State& state, uint64_t rest, uint64_t events) {
  using clock = typename contestant::clock;
  contestant queue;
  arrivals<clock> seen(1);
  seen.reserve(events);
  run_on_two_cpus(
      [&] {
        const uint64_t interval =
            static_cast<uint64_t>(static_cast<double>(paced_interval) * counter_ticks_per_nanosecond());
        uint64_t due = read_counter();
        for (uint64_t i = 0; i < events; ++i) {
          while (static_cast<int64_t>(read_counter() - due) < 0) relax(1);
          queue.push(make_payload(i));
          due += interval;
        }
        queue.finish();
      },
      [&] { consume(queue, seen, events, rest, [] {}); });
  seen.report(state, events);
}

template <class contestant>
void add_contestant(const settings& with, std::vector<uint64_t> rests) {
  const uint64_t events = with.scale(150000);
  const uint64_t paced_events = with.scale(10000);
  for (const uint64_t rest : rests) {
    const std::string name = "/" + contestant::name() + "/" + std::to_string(rest) + "/" + contestant::clock::name;
    add_on_two_cpus("handover" + name, [=](auto& state) { saturate<contestant>(state, rest, events); });
    add_on_two_cpus("paced" + name, [=](auto& state) { pace<contestant>(state, rest, paced_events); });
  }
}

}  // namespace sluice::bench
