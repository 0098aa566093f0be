// A function that not every kernel exports, by its name. Exports of kernel and HAL only.
#pragma once

#include "kernel_port/nt/nt.h"

namespace sluice {

// PASSIVE_LEVEL. Null: this kernel lacks it.
template <class function, size_t size>
_IRQL_requires_(PASSIVE_LEVEL) function find_system_routine(const char16_t (&name)[size]) {
  UNICODE_STRING string = unicode_literal(name);
  return reinterpret_cast<function>(MmGetSystemRoutineAddress(&string));
}

}  // namespace sluice
