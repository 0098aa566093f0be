// Scenarios: what they are made of, and their registration. tests/model/search.h runs them.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <new>

#include "tests/model/model_machine.h"

namespace sluice::model {

// A scenario derives from this. Its construction begins an execution; prepare() runs before the threads,
// alone, and everything done there is visible to all of them; work() is the body of each thread; check() runs
// after all of them, and sees it all.
class scenario {
 public:
  virtual ~scenario() = default;
  virtual void prepare() = 0;
  virtual void work(unsigned thread) = 0;
  virtual void check() = 0;
};

// What a scenario must do: hold in every execution, or show (some execution must fail its assertion:
// something that has to be possible, or the scenario beside it proves nothing).
enum class expectation { holds, shows };

// What the short form of the checks (model_test --short, ctest) runs: every execution, or every one with so
// many preemptions.
inline constexpr unsigned every_execution = ~0u;

struct scenario_entry {
  const char* name;
  int threads;
  unsigned short_bound;
  barrier_kind barriers;
  expectation expected;
  scenario* (*construct)(void* storage);
  scenario_entry* next;
};
inline scenario_entry* first_scenario = nullptr;

inline constexpr size_t scenario_room = 1 << 16;

template <class body, int threads>
class registration {
 public:
  explicit registration(const char* name, unsigned short_bound = every_execution,
                        barrier_kind barriers = barrier_kind::none, expectation expected = expectation::holds)
      : entry_{name, threads, short_bound, barriers, expected, &construct, nullptr} {
    static_assert(sizeof(body) <= scenario_room && alignof(body) <= 128 && threads <= max_threads);
    scenario_entry** at = &first_scenario;
    while (*at != nullptr) at = &(*at)->next;
    *at = &entry_;
  }

 private:
  static scenario* construct(void* storage) { return ::new (storage) body(); }
  scenario_entry entry_;
};

// The same with each form of the barrier.
template <class body, int threads>
class both_barriers {
 public:
  both_barriers(const char* fences_name, unsigned short_fences, const char* interrupt_name,
                unsigned short_interrupt)
      : fences_(fences_name, short_fences, barrier_kind::fences),
        interrupt_(interrupt_name, short_interrupt, barrier_kind::interrupt) {}

 private:
  registration<body, threads> fences_;
  registration<body, threads> interrupt_;
};

}  // namespace sluice::model
