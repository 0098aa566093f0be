#include "producers/kernel_functions.h"

#include "producers/processors.h"
#include "producers/system_routine.h"

namespace sluice {
namespace {

template <class function, size_t size>
void resolve(function& pointer, const char16_t (&name)[size]) {
  pointer = find_system_routine<function>(name);
}

}  // namespace

void resolve_kernel_functions(kernel_functions& functions) {
  PAGED_CODE();
  resolve_processor_functions();
  resolve(functions.PsSetCreateProcessNotifyRoutineEx2, u"PsSetCreateProcessNotifyRoutineEx2");
  resolve(functions.PsSetCreateProcessNotifyRoutineEx, u"PsSetCreateProcessNotifyRoutineEx");
  resolve(functions.PsSetLoadImageNotifyRoutineEx, u"PsSetLoadImageNotifyRoutineEx");
  resolve(functions.PsGetProcessStartKey, u"PsGetProcessStartKey");
  resolve(functions.KeQuerySystemTimePrecise, u"KeQuerySystemTimePrecise");
  resolve(functions.CmRegisterCallbackEx, u"CmRegisterCallbackEx");
  resolve(functions.CmCallbackGetKeyObjectID, u"CmCallbackGetKeyObjectID");
  resolve(functions.CmCallbackGetKeyObjectIDEx, u"CmCallbackGetKeyObjectIDEx");
  resolve(functions.CmCallbackReleaseKeyObjectIDEx, u"CmCallbackReleaseKeyObjectIDEx");
  resolve(functions.KeRegisterProcessorChangeCallback, u"KeRegisterProcessorChangeCallback");
  resolve(functions.KeDeregisterProcessorChangeCallback, u"KeDeregisterProcessorChangeCallback");
  resolve(functions.ExAllocatePool2, u"ExAllocatePool2");
  // What is taken must be given back: one without the other is none.
  if (functions.CmCallbackReleaseKeyObjectIDEx == nullptr) functions.CmCallbackGetKeyObjectIDEx = nullptr;
  if (functions.KeDeregisterProcessorChangeCallback == nullptr) functions.KeRegisterProcessorChangeCallback = nullptr;
}

}  // namespace sluice
