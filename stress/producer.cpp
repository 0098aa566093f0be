#include "stress/producer.h"

#include <sched.h>

#include <algorithm>
#include <array>

namespace sluice::stress {

producer::producer(rig& on, dpc_writers& dpcs, uint32_t index, uint32_t cpu)
    : rig_(on), dpcs_(dpcs), events_(on, index), random_(on.options.seed * 1000003 + index), cpu_(cpu),
      wanders_(on.options.migrate && index % 5 == 4) {}

void producer::start() {
  thread_ = std::thread([this] { run(); });
}

void producer::run() {
  const sim::activity here(rig_.machine, cpu_, event_pid, tid());
  attached_.store(true, std::memory_order_relaxed);
  if (!wanders_) rig::pin_to(cpu_);
  const auto publish = [this] {
    rig_.attempted.fetch_add(events_.attempts() - published_attempts_, std::memory_order_relaxed);
    published_attempts_ = events_.attempts();
  };
  while (rig_.producers_gate.pass(publish)) {
    if (wanders_) {
      wander();
    } else {
      act();
    }
    if (events_.attempts() - published_attempts_ >= 256) publish();
  }
}

uint32_t producer::length() {
  constexpr uint32_t least = sizeof(event_head);
  const uint32_t most = rig_.longest_payload;
  const uint32_t choice = random_.below(100);
  if (!rig_.options.sizes || choice < 75) return least + random_.below(128);
  if (choice < 95) return least + random_.below(std::min(600u, most) - least);
  if (choice < 99) return least + random_.below(most - least + 1);
  return most - random_.below(8);
}

uint16_t producer::section_type() {
  if (rig_.options.critical && random_.one_in(8)) return event_type::section_critical;
  return random_.one_in(3) ? event_type::section_switched : event_type::section;
}

uint16_t producer::free_type() {
  if (rig_.options.critical && random_.one_in(8)) return event_type::free_critical;
  return random_.one_in(3) ? event_type::free_switched : event_type::free;
}

// As a callback asks before it does anything.
bool producer::off(uint16_t type) {
  if (rig_.channel.is_on(type)) return false;
  ++switched_off_;
  return true;
}

// The consumer shares the host's processors with us: on real ones it would have its own.
void producer::no_room() {
  if (rig_.options.back_off) sched_yield();
}

void producer::act() {
  if (rig_.options.migrate && random_.one_in(64)) {
    cpu_ = random_.below(rig_.options.cpus);
    rig::pin_to(cpu_);
  }
  const uint32_t choice = random_.below(1000);
  if (choice < 350) {
    const uint16_t type = section_type();
    if (!off(type) && !events_.write_in_section(type, length())) no_room();
  } else if (choice < 550) {
    const uint16_t type = free_type();
    if (!off(type) && !events_.write_freely(type, length())) no_room();
  } else if (choice < 720) {
    hold_in_section(0);
  } else if (choice < 910) {
    hold_freely(0);
  } else if (choice < 940) {
    hold_several();
  } else if (choice < 975) {
    if (rig_.options.sizes && !events_.write_anonymous(random_.below(sizeof(event_head)))) no_room();
  } else if (choice < 980) {
    if (rig_.options.sizes) events_.write_too_long(section_type());
  } else if (rig_.options.dpcs) {
    dpcs_.queue(random_.below(rig_.options.cpus), random_.below(dpc_writers::per_cpu));
  }
}

// Stays below DISPATCH_LEVEL and is pinned nowhere: the machine may move it at any moment.
void producer::wander() {
  const uint16_t type =
      rig_.options.critical && random_.one_in(8) ? event_type::wandering_critical : event_type::wandering;
  if (random_.one_in(2)) {
    if (!events_.write_freely(type, length())) no_room();
    return;
  }
  reservation held;
  event_head head;
  const bool kept = keep();
  if (!events_.reserve_freely(type, length(), kept, held, head)) return no_room();
  inside_.store(true, std::memory_order_relaxed);
  rig_.fill(held.payload(), head, true);
  disturb(random_, rig_.options);
  inside_.store(false, std::memory_order_relaxed);
  if (kept) {
    held.commit();
  } else {
    held.discard();
  }
}

// While a record is open: others on the same CPU, a DPC over it, a while of nothing.
void producer::over_open(uint32_t depth) {
  disturb(random_, rig_.options);
  if (rig_.options.dpcs && random_.one_in(16)) dpcs_.queue(cpu_, random_.below(dpc_writers::per_cpu));
  if (rig_.options.nested && depth < 3 && random_.one_in(4)) {
    if (random_.one_in(2)) {
      hold_in_section(depth + 1);
    } else {
      hold_freely(depth + 1);
    }
  }
}

void producer::hold_in_section(uint32_t depth) {
  const uint16_t type = section_type();
  if (off(type)) return;
  held_record held;
  // Whoever holds a record below DISPATCH_LEVEL sees to it that it is not suspended: the channel does it for reserve_event.
  const critical_region unsuspended;
  if (!events_.reserve_in_section(type, length(), keep(), held)) return no_room();
  rig_.fill(held.record.payload(), held.head, false);
  if (rig_.options.hand_over && random_.one_in(6) && rig_.hand_over.push(held)) return;
  over_open(depth);
  rig_.finish(held);
}

void producer::hold_freely(uint32_t depth) {
  const uint16_t type = free_type();
  if (off(type)) return;
  reservation held;
  event_head head;
  const bool kept = keep();
  if (!events_.reserve_freely(type, length(), kept, held, head)) return no_room();
  const bool outer = inside_.load(std::memory_order_relaxed);
  inside_.store(true, std::memory_order_relaxed);
  rig_.fill(held.payload(), head, true);
  over_open(depth);
  event_head now;
  if (const char* wrong = check_event(held.payload(), held.payload_length(), rig_.filler, now)) {
    broken("R1", cpu_, "an open record of thread {} was overwritten: {}", tid(), wrong);
  }
  inside_.store(outer, std::memory_order_relaxed);
  if (kept) {
    held.commit();
  } else {
    held.discard();
  }
}

// Several of one CPU open at once, closed in any order.
void producer::hold_several() {
  if (!rig_.options.nested) return;
  const critical_region unsuspended;
  std::array<held_record, 4> held;
  uint32_t count = 0;
  while (count < held.size()) {
    if (!events_.reserve_in_section(event_type::section, length(), keep(), held[count])) break;
    rig_.fill(held[count].record.payload(), held[count].head, false);
    ++count;
  }
  disturb(random_, rig_.options);
  while (count != 0) {
    std::swap(held[random_.below(count)], held[count - 1]);
    rig_.finish(held[--count]);
  }
}

}  // namespace sluice::stress
