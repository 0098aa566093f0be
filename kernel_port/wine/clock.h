// Wine's performance counter, read without a call into Wine's Unix side: several times as fast, and the same figures. Drivers read it once
// for each event, as they do on Windows, where it is a few instructions.
//
// It is the kernel's clock that Wine's counter is made of (CLOCK_MONOTONIC_RAW in units of 100 ns), through the function that the kernel
// maps into every process for it (vdso(7)). Where that function is not found, or does not give what Wine gives, Wine's own is called.
#pragma once

#include "kernel_port/wine/calls.h"

namespace sluice::wine {

void start_clock();  // once, before a driver runs

}  // namespace sluice::wine
