// What a driver gets when it imports a kernel function, or looks one up. The substitutes see every driver that is loaded after them,
// before its DriverEntry runs, and write its import table anew:
//   a function that stands in a table of ours: ours, or Wine's own where the table names none
//   with a limit: through a few instructions that check the IRQL first
//   a function that no table knows: Wine's own, and a broken rule, since nobody said at which IRQL it may be called
// The file of the driver stays as it was shipped, and so does its code in memory.
#pragma once

#include <span>

#include "kernel_port/wine/calls.h"

namespace sluice::wine {

inline constexpr uint8_t any_irql = HIGH_LEVEL;

struct kernel_function {
  const char* name;
  PVOID ours;             // null: Wine's own
  uint8_t highest_irql;   // any_irql: not checked here
};

template <class function>
PVOID address_of(function* routine) {
  return reinterpret_cast<PVOID>(routine);
}

// The tables, one per file.
std::span<const kernel_function> functions_of_wine();
std::span<const kernel_function> irql_functions();
std::span<const kernel_function> clock_functions();
std::span<const kernel_function> dpc_functions();
std::span<const kernel_function> timer_functions();
std::span<const kernel_function> pool_functions();
std::span<const kernel_function> mdl_functions();
std::span<const kernel_function> process_functions();
std::span<const kernel_function> notify_functions();
std::span<const kernel_function> registry_functions();

// `self`: the module of the substitutes.
void watch_loaded_drivers(PVOID self);
bool is_in_driver(PVOID address);

}  // namespace sluice::wine
