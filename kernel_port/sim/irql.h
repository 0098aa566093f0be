// What is said when an IRQL rule is broken, and the guard that returns to the level it found.
#pragma once

#include "kernel_port/sim/check.h"
#include "kernel_port/sim/processor.h"

namespace sluice::sim {

[[noreturn]] void stop_raise(const thread_state& thread, KIRQL irql);
[[noreturn]] void stop_lower(const thread_state& thread, KIRQL irql);

// Raises to at least `irql` while it lives.
class raised_irql {
 public:
  explicit raised_irql(KIRQL irql) : thread_(self()), old_(thread_.irql) {
    if (old_ < irql) raise_to(thread_, irql);
  }
  ~raised_irql() { lower_to(thread_, old_); }
  raised_irql(const raised_irql&) = delete;
  raised_irql& operator=(const raised_irql&) = delete;

 private:
  thread_state& thread_;
  KIRQL old_;
};

// A call into a driver. Nothing is thrown through it, as on NT nothing could be: where the host cannot give the simulation what it needs
// (memory, a thread), the process ends there, and the driver is not left half-way.
template <class call>
auto into_driver(call&& routine) noexcept {
  return routine();
}

// Around a call into a driver: the driver comes back at the IRQL and with the regions it was called with.
class driver_call {
 public:
  driver_call(driver_record* driver, const void* routine, const char* what);
  ~driver_call();  // checks
  driver_call(const driver_call&) = delete;
  driver_call& operator=(const driver_call&) = delete;

 private:
  thread_state& thread_;
  driver_record* caller_;
  const void* routine_;
  const char* what_;
  KIRQL irql_;
  uint32_t critical_;
  uint32_t guarded_;
};

}  // namespace sluice::sim
