// Raises process callbacks for what starts and ends in the prefix. Wine tells nobody, so the list of processes is looked at every few
// milliseconds: a process that lives shorter may be missed, and its events come from another thread than the creator's.
#pragma once

#include <stdint.h>

namespace sluice::wine {

void start_process_watch();  // once
void watch_processes(bool wanted);

// Callbacks raised while a routine was registered, by injected_kind: from here and from injection.
void count_raised(uint32_t kind);
uint64_t raised(uint32_t kind);

}  // namespace sluice::wine
