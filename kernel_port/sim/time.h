// The machine's clocks, in NT's units. Any thread.
#pragma once

#include <cstdint>

namespace sluice::sim {

uint64_t performance_counter();  // 10 MHz
uint64_t system_time_precise();  // 100 ns since 1601

}  // namespace sluice::sim
