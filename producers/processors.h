// The processors, by one number across groups. NT 6.1 brought groups and the functions that know them; an
// older kernel has one group, and functions that know nothing else. Which of them this kernel has is looked
// up once (resolve_kernel_functions); until then, and on an older kernel, there is one group.
#pragma once

#include "kernel_port/nt/nt.h"

namespace sluice {

struct processor_functions {
  // Windows 7.
  using current_number_ex = ULONG(NTAPI*)(PPROCESSOR_NUMBER number);
  using count_ex = ULONG(NTAPI*)(USHORT group);
  using number_from_index = NTSTATUS(NTAPI*)(ULONG index, PPROCESSOR_NUMBER number);
  using set_target_ex = NTSTATUS(NTAPI*)(PKDPC dpc, PPROCESSOR_NUMBER number);
  // Vista: those that can be added are counted, too. Before it none can.
  using maximum_count = ULONG(NTAPI*)();

  current_number_ex KeGetCurrentProcessorNumberEx;  // never null
  count_ex KeQueryMaximumProcessorCountEx;
  count_ex KeQueryActiveProcessorCountEx;
  number_from_index KeGetProcessorNumberFromIndex;
  set_target_ex KeSetTargetProcessorDpcEx;
  maximum_count KeQueryMaximumProcessorCount;
};

// One for the image: whoever raises to DISPATCH_LEVEL asks, and has nothing else at hand. Written by
// resolve_processor_functions() only.
extern processor_functions processors;

// PASSIVE_LEVEL. Once more changes nothing.
SLUICE_PAGED_CODE _IRQL_requires_(PASSIVE_LEVEL) void resolve_processor_functions();

// Any IRQL. Below DISPATCH_LEVEL only a hint.
inline uint32_t current_processor() {
  return processors.KeGetCurrentProcessorNumberEx(nullptr);
}

// One more than the highest number a processor of this boot can have. Any IRQL.
_IRQL_requires_max_(DISPATCH_LEVEL)
uint32_t maximum_processors();

// How many run: those with the lowest numbers. Any IRQL.
_IRQL_requires_max_(DISPATCH_LEVEL)
uint32_t active_processors();

// Any IRQL. False: that processor does not run (yet); the DPC is as it was.
[[nodiscard]] _IRQL_requires_max_(DISPATCH_LEVEL)
bool set_target_processor(KDPC& dpc, uint32_t cpu);

}  // namespace sluice
