// The machine's clocks, in NT's units. Any thread.
//
//   performance counter   can be moved and stopped (machine::move_counter): on Windows a resume or the move of a virtual
//                         machine does that. Nothing else depends on it
//   interrupt time        of the host's monotonic clock: timers, waits and stalls go by it
//   system time           UTC; can be set
#pragma once

#include <cstdint>

namespace sluice::sim {

uint64_t performance_counter();  // 10 MHz
uint64_t interrupt_time();       // 100 ns, never goes back
uint64_t system_time_precise();  // 100 ns since 1601

// All processors see the new value at the same moment.
void move_counter(int64_t ticks);
void let_counter_run(bool runs);
void set_system_time(uint64_t utc);
void reset_clocks(int64_t counter_ahead);

// The counter's page (counter_page.h) as a sealed memfd, which stays this process': who maps it can read it, and nothing else.
// Throws std::system_error.
int share_counter();

}  // namespace sluice::sim
