#include "stress/disturbers.h"

#include <algorithm>
#include <array>

namespace sluice::stress {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// What these threads call themselves: behind every producer and DPC.
constexpr uint32_t own_tids = 900000;

void sleep_for(microseconds time) { std::this_thread::sleep_for(time); }

}  // namespace

closer::closer(rig& on, uint32_t index)
    : rig_(on), index_(index), random_(on.options.seed + 31 + index), thread_([this] { run(); }) {}

void closer::run() {
  const sim::activity here(rig_.machine, index_ % rig_.options.cpus, event_pid, own_tids + index_);
  std::array<held_record, 8> held;
  uint32_t count = 0;
  // Runs on while everybody else is parked, so that whatever was handed over comes to its end.
  while (!rig_.closers_stop.load(std::memory_order_relaxed)) {
    const critical_region unsuspended;
    while (count < held.size() && rig_.hand_over.pop(held[count])) ++count;
    if (rig_.options.migrate && random_.one_in(32)) rig::pin_to(random_.below(rig_.options.cpus));
    if (count == 0) {
      sleep_for(microseconds(100));
    } else {
      std::swap(held[random_.below(count)], held[count - 1]);
      rig_.finish(held[--count]);
      rig_.hand_over.closed();
      disturb(random_, rig_.options);
    }
  }
}

hoarder::hoarder(rig& on, uint32_t index)
    : rig_(on), events_(on, index), random_(on.options.seed + 77), thread_([this] { run(); }) {}

void hoarder::run() {
  const sim::activity here(rig_.machine, 0, event_pid, first_event_tid + events_.index());
  const uint32_t limit = std::max(5u, rig_.options.set_aside_milliseconds);
  while (rig_.producers_gate.pass([] {})) {
    rig::pin_to(random_.below(rig_.options.cpus));
    held_record held;
    const bool keep = !rig_.options.discards || !random_.one_in(4);
    const critical_region unsuspended;
    if (events_.reserve_in_section(event_type::hoarded, sizeof(event_head) + random_.below(64), keep, held)) {
      rig_.fill(held.record.payload(), held.head, false);
      const auto until = steady_clock::now() + milliseconds(limit / 2 + random_.below(2 * limit));
      while (steady_clock::now() < until && rig_.producers_gate.is_open()) sleep_for(milliseconds(1));
      rig_.finish(held);
    }
    for (uint32_t i = random_.below(20); i != 0 && rig_.producers_gate.is_open(); --i) sleep_for(milliseconds(1));
  }
}

suspender::suspender(rig& on, std::deque<producer>& producers)
    : rig_(on), producers_(producers), random_(on.options.seed + 99), thread_([this] { run(); }) {}

void suspender::run() {
  const sim::activity here(rig_.machine, 0, event_pid, own_tids + 100);
  while (rig_.producers_gate.pass([] {})) {
    suspend_one();
    sleep_for(microseconds(200 + random_.below(2000)));
  }
}

void suspender::suspend_one() {
  producer& target = producers_[random_.below(static_cast<uint32_t>(producers_.size()))];
  if (!target.is_attached()) return;  // the run has just begun
  if (!rig_.machine.suspend_thread(target.tid())) {
    broken("suspension", no_cpu, "the machine knows no thread {}", target.tid());
  }
  rig_.suspensions.fetch_add(1, std::memory_order_relaxed);
  // Suspended it may be, but not inside a reservation: there it goes on until the record is closed.
  const auto patience = steady_clock::now() + std::chrono::seconds(60);
  while (target.inside() && steady_clock::now() < patience) sleep_for(microseconds(20));
  if (target.inside()) {
    broken("suspension", no_cpu, "thread {} is suspended inside a reservation: its record is open for 60 s", target.tid());
  }
  sleep_for(microseconds(random_.below(400)));
  rig_.machine.resume_thread(target.tid());
}

type_switcher::type_switcher(rig& on) : rig_(on), random_(on.options.seed + 123), thread_([this] { run(); }) {}

void type_switcher::run() {
  const sim::activity here(rig_.machine, 0, event_pid, own_tids + 200);
  constexpr uint64_t switched = 1ull << event_type::section_switched | 1ull << event_type::free_switched;
  while (rig_.producers_gate.pass([] {})) {
    rig_.channel.set_types(~switched | (random_.next() & switched));
    sleep_for(milliseconds(1 + random_.below(5)));
  }
  rig_.channel.set_types(~uint64_t{0});
}

}  // namespace sluice::stress
