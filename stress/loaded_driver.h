// The driver, loaded on the simulated machine, and its sensor for who writes own events. One at a time.
#pragma once

#include "kernel_port/driver/sensor.h"
#include "kernel_port/sim/machine.h"

namespace sluice::stress {

// Loads it and registers the type of the stress's own events, which is returned.
uint16_t load_driver(sim::machine& machine);
// Nobody writes own events any more, and every handle is closed.
void unload_driver(sim::machine& machine);
// Null unless it is loaded.
sensor* the_sensor();

}  // namespace sluice::stress
