// The code that is stepped, compiled on its own and optimised as it is shipped, whatever the rest of the test is.
#pragma once

#include "tests/instruction/world.h"

namespace sluice::instruction {

// Works on an activity: enters the section, writes or reserves, leaves, fills and closes.
void stepped_produce(void* doer);
// The part of it after the section, for an activity that world::reserve() was given.
void stepped_fill_and_close(void* doer);

// As channel::after_close: what whoever closed a record does next.
SLUICE_ALWAYS_INLINE void signal_after_close(world& of) {
  if (of.wake.after_close() != announcement::running) of.now().signalled = 1;
}

// One pass of the world's consumer, and release.
void stepped_consume(void* of_world);
// Announces sleep, and makes a pass; whether it may sleep goes to world::machine::asleep. The room is given back later.
void stepped_go_to_sleep(void* of_world);

// Hooks: the test's own, executed whole.
extern "C" {
uint64_t stepped_section_entered(void* doer, const void*);
uint64_t stepped_section_left(void* doer, const void*);
uint64_t stepped_record_closed(void* doer, const void*);
uint64_t stepped_deliver(void* of_world, const void* seen);
}

}  // namespace sluice::instruction
