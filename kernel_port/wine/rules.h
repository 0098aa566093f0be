// Rules of the kernel that a driver has broken: counted, and told. Any thread, any IRQL.
#pragma once

#include "kernel_port/wine/injection.h"
#include "kernel_port/wine/irql.h"

namespace sluice::wine {

// Counts, keeps the text, and prints it to the debug channel. `what`: ASCII.
void report_violation(const char* what);
void report_pool_violation(const char* what);
// Reports if the thread is above `highest`.
void require_irql(uint32_t highest, const char* function);
void count_fault();

void add_rule_counters(injection_counters& to);

}  // namespace sluice::wine
