// A function of the page that Linux maps into every process (vdso(7)): what a program asks the kernel often, without a system call. Wine's
// programs have that page too, and know nothing of it. Any thread.
#pragma once

#include "kernel_port/wine/calls.h"

namespace sluice::wine {

// Null: there is none of this name, or this is a Wine where nobody has tried how to find it. The function has the calling convention of
// Linux.
PVOID find_vdso_function(const char* name);

}  // namespace sluice::wine
