// The code sections PAGE and INIT of this very program, as an NT kernel treats those of a driver.
//
//   PAGE   taken away when a processor goes to DISPATCH_LEVEL, as if it were paged out; a fault below that level brings it in
//          again, one at that level is bug check 0xD1. So is coming back at DISPATCH_LEVEL into code that raised the level itself. A
//          function that another thread brought in a moment ago may go unseen; a thread's own never does.
//   INIT   there while a DriverEntry runs. A call after that is bug check 0x50
//
// Off by default: a program's pages change at each raise. machine_options::check_code_sections.
#pragma once

#include "kernel_port/sim/thread_state.h"

namespace sluice::sim {

void start_pageable_code(bool check);
void stop_pageable_code();

// Raising.
void trim_pageable_code();
// In the handler of faults. False: no address of these sections.
bool bring_in_pageable_code(const void* address, const thread_state& thread);

// While a DriverEntry runs.
class initializing_driver {
 public:
  initializing_driver();
  ~initializing_driver();
  initializing_driver(const initializing_driver&) = delete;
  initializing_driver& operator=(const initializing_driver&) = delete;
};

}  // namespace sluice::sim
