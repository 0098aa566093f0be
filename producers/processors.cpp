#include "producers/processors.h"

#include "producers/system_routine.h"

namespace sluice {
namespace {

// Processors of the only group are numbered without gaps.
uint32_t count_in_the_only_group() {
  uint32_t count = 0;
  for (KAFFINITY active = KeQueryActiveProcessors(); active != 0; active >>= 1) ++count;
  return count;
}

ULONG NTAPI number_in_the_only_group(PPROCESSOR_NUMBER) {
  return KeGetCurrentProcessorNumber();
}

}  // namespace

processor_functions processors = {&number_in_the_only_group, nullptr, nullptr, nullptr, nullptr, nullptr};

void resolve_processor_functions() {
  PAGED_CODE();
  const auto current =
      find_system_routine<processor_functions::current_number_ex>(u"KeGetCurrentProcessorNumberEx");
  const processor_functions found = {
      current != nullptr ? current : &number_in_the_only_group,
      find_system_routine<processor_functions::count_ex>(u"KeQueryMaximumProcessorCountEx"),
      find_system_routine<processor_functions::count_ex>(u"KeQueryActiveProcessorCountEx"),
      find_system_routine<processor_functions::number_from_index>(u"KeGetProcessorNumberFromIndex"),
      find_system_routine<processor_functions::set_target_ex>(u"KeSetTargetProcessorDpcEx"),
      find_system_routine<processor_functions::maximum_count>(u"KeQueryMaximumProcessorCount"),
  };
  // Not stored again where it stands: others may be reading.
  if (RtlCompareMemory(&processors, &found, sizeof found) != sizeof found) processors = found;
}

uint32_t maximum_processors() {
  if (processors.KeQueryMaximumProcessorCountEx != nullptr) {
    return processors.KeQueryMaximumProcessorCountEx(ALL_PROCESSOR_GROUPS);
  }
  if (processors.KeQueryMaximumProcessorCount != nullptr) return processors.KeQueryMaximumProcessorCount();
  return count_in_the_only_group();
}

uint32_t active_processors() {
  if (processors.KeQueryActiveProcessorCountEx != nullptr) {
    return processors.KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS);
  }
  return count_in_the_only_group();
}

bool set_target_processor(KDPC& dpc, uint32_t cpu) {
  if (processors.KeSetTargetProcessorDpcEx != nullptr &&
      processors.KeGetProcessorNumberFromIndex != nullptr) {
    PROCESSOR_NUMBER number{};
    return NT_SUCCESS(processors.KeGetProcessorNumberFromIndex(cpu, &number)) &&
           NT_SUCCESS(processors.KeSetTargetProcessorDpcEx(&dpc, &number));
  }
  if (cpu >= count_in_the_only_group()) return false;
  KeSetTargetProcessorDpc(&dpc, static_cast<CCHAR>(cpu));
  return true;
}

}  // namespace sluice
