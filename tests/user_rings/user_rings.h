// A user program's rings, for a main() that knows nothing of the kernel's headers: two CPUs, one thread each in place of the section,
// and a reader that merges. What writes and merges is what sluice.sys contains: producers/kernel_rings.cpp, pipeline/native_merge.cpp.
#pragma once

#include <cstdint>

namespace user_rings {

inline constexpr uint32_t cpus = 2;

// Zeroed memory, aligned to pages, kept until the end. False: the geometry does not hold.
bool start(void* (*allocate)(uint64_t bytes));

// One event with `number`, of varying length, on `cpu`; reserved and filled, or written at once. False: there was no room; the event
// is announced as lost. One thread a CPU.
bool emit(uint32_t cpu, uint64_t number, bool reserve);

// What the reader has seen. One thread.
struct seen {
  uint64_t records = 0;
  uint64_t lost = 0;              // as LOSS records tell
  uint64_t damaged = 0;           // payloads that are not what was written, or not in the order in which they were written
  uint64_t out_of_order = 0;      // M1
  uint64_t next[cpus] = {};       // the least number that may come
  uint64_t last_time = 0;
};
void merge_once(seen& what);

// After the last event: what the accounts say, after another reader has begun.
struct account {
  uint64_t attempted;
  uint64_t dropped;
  uint64_t committed;
};
account settle(uint32_t cpu);

}  // namespace user_rings
