// Registry callbacks. Wine has no hook for them: a test injects the operations.
#pragma once

#include "kernel_port/wine/injection.h"
#include "kernel_port/wine/processes.h"

namespace sluice::wine {

struct registry_operation {
  injected_kind kind;
  UNICODE_STRING* key;   // null: there is none
  UNICODE_STRING* name;  // of the value, or the new name; null: there is none
  PVOID data;
  uint32_t data_bytes;
  uint32_t value_type;
  NTSTATUS status;       // how the operation ends
};

// The callback before and the one after. At PASSIVE_LEVEL, inside a stand_in. False: nobody is registered. `refused`: a callback
// answered with an error before the operation.
bool raise_registry(const registry_operation& what, bool& refused);

}  // namespace sluice::wine
