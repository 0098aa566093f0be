// Two threads on two processors: pinned, started together.
#pragma once

#include <atomic>
#include <functional>

namespace sluice::bench {

struct cpu_pair {
  int first;      // the producer's
  int second;     // the consumer's; the same if there is only one
  int available;  // processors this process may use
};

// The first and the last processor that this process may use.
cpu_pair pick_cpus();

void pin_to(int cpu);

// A few turns of the processor's own pause.
inline void relax(int turns = 4) {
  for (int i = 0; i < turns; ++i) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
  }
}

// Both functions, each on its own processor, begun at the same time; returns when both have.
void run_on_two_cpus(const std::function<void()>& first, const std::function<void()>& second);

// Nanoseconds for one cache line to the other processor and back: the least of a few short runs.
double round_trip();

}  // namespace sluice::bench
