// MmGetSystemRoutineAddress: which functions this machine's kernel exports.
#include "kernel_port/sim/system_routine.h"

#include <map>
#include <string>

#include "kernel_port/sim/implementation.h"

namespace sluice::sim {
namespace {

struct routine {
  void* address;
  kernel_level since;
};

template <class Function>
void* address_of(Function* function) {
  return reinterpret_cast<void*>(function);
}

const std::map<std::u16string, routine, std::less<>>& routines() {
#define SLUICE_ROUTINE(name, level)           \
  {                                           \
    u"" #name, {                              \
      address_of(::name), kernel_level::level \
    }                                         \
  }
#define SLUICE_LATE_ROUTINE(name, level)          \
  {                                               \
    u"" #name, {                                  \
      address_of(late::name), kernel_level::level \
    }                                             \
  }
  static const std::map<std::u16string, routine, std::less<>> table = {
      // Reached by this way only.
      SLUICE_LATE_ROUTINE(PsSetCreateProcessNotifyRoutineEx, vista),
      SLUICE_LATE_ROUTINE(PsSetCreateProcessNotifyRoutineEx2, windows10),
      SLUICE_LATE_ROUTINE(PsSetCreateThreadNotifyRoutineEx, windows10),
      SLUICE_LATE_ROUTINE(PsSetLoadImageNotifyRoutineEx, windows10),
      SLUICE_LATE_ROUTINE(PsGetProcessStartKey, windows10),
      SLUICE_LATE_ROUTINE(KeQuerySystemTimePrecise, windows8),
      SLUICE_LATE_ROUTINE(CmRegisterCallbackEx, vista),
      SLUICE_LATE_ROUTINE(KeRegisterProcessorChangeCallback, vista),
      SLUICE_LATE_ROUTINE(KeDeregisterProcessorChangeCallback, vista),
      SLUICE_LATE_ROUTINE(CmCallbackGetKeyObjectID, vista),
      SLUICE_LATE_ROUTINE(CmCallbackGetKeyObjectIDEx, windows8),
      SLUICE_LATE_ROUTINE(CmCallbackReleaseKeyObjectIDEx, windows8),
      // Linkable too. Windows 7 brought processor groups; the next level this machine knows is Windows 8.
      SLUICE_ROUTINE(KeGetCurrentProcessorNumberEx, windows8),
      SLUICE_ROUTINE(KeQueryMaximumProcessorCountEx, windows8),
      SLUICE_ROUTINE(KeQueryActiveProcessorCountEx, windows8),
      SLUICE_ROUTINE(KeQueryActiveGroupCount, windows8),
      SLUICE_ROUTINE(KeQueryMaximumGroupCount, windows8),
      SLUICE_ROUTINE(KeGetProcessorNumberFromIndex, windows8),
      SLUICE_ROUTINE(KeGetProcessorIndexFromNumber, windows8),
      SLUICE_ROUTINE(KeSetTargetProcessorDpcEx, windows8),
      SLUICE_ROUTINE(KeSetSystemGroupAffinityThread, windows8),
      SLUICE_ROUTINE(KeRevertToUserGroupAffinityThread, windows8),
      SLUICE_ROUTINE(KeSetCoalescableTimer, windows8),
      SLUICE_ROUTINE(KeQueryMaximumProcessorCount, vista),
      SLUICE_ROUTINE(KeQueryActiveProcessorCount, vista),
      SLUICE_ROUTINE(KeQueryActiveProcessors, nt52),
      SLUICE_ROUTINE(ObDereferenceObjectDeferDelete, vista),
      SLUICE_ROUTINE(IoGetRequestorProcessId, nt52),
      SLUICE_ROUTINE(ExAllocatePool2, windows10),
      SLUICE_ROUTINE(KeBugCheckEx, nt52),
      SLUICE_ROUTINE(KeRaiseIrqlToDpcLevel, nt52),
      SLUICE_ROUTINE(KeEnterCriticalRegion, nt52),
      SLUICE_ROUTINE(KeLeaveCriticalRegion, nt52),
      SLUICE_ROUTINE(KeEnterGuardedRegion, nt52),
      SLUICE_ROUTINE(KeLeaveGuardedRegion, nt52),
      SLUICE_ROUTINE(KeAreApcsDisabled, nt52),
      SLUICE_ROUTINE(KeAreAllApcsDisabled, nt52),
      SLUICE_ROUTINE(KeIpiGenericCall, nt52),
      SLUICE_ROUTINE(KeInitializeDpc, nt52),
      SLUICE_ROUTINE(KeInsertQueueDpc, nt52),
      SLUICE_ROUTINE(KeRemoveQueueDpc, nt52),
      SLUICE_ROUTINE(KeFlushQueuedDpcs, nt52),
      SLUICE_ROUTINE(KeSetTargetProcessorDpc, nt52),
      SLUICE_ROUTINE(KeSetImportanceDpc, nt52),
      SLUICE_ROUTINE(KeInitializeEvent, nt52),
      SLUICE_ROUTINE(KeSetEvent, nt52),
      SLUICE_ROUTINE(KeClearEvent, nt52),
      SLUICE_ROUTINE(KeResetEvent, nt52),
      SLUICE_ROUTINE(KeReadStateEvent, nt52),
      SLUICE_ROUTINE(KeWaitForSingleObject, nt52),
      SLUICE_ROUTINE(KeWaitForMultipleObjects, nt52),
      SLUICE_ROUTINE(KeDelayExecutionThread, nt52),
      SLUICE_ROUTINE(KeInitializeTimer, nt52),
      SLUICE_ROUTINE(KeInitializeTimerEx, nt52),
      SLUICE_ROUTINE(KeSetTimer, nt52),
      SLUICE_ROUTINE(KeSetTimerEx, nt52),
      SLUICE_ROUTINE(KeCancelTimer, nt52),
      SLUICE_ROUTINE(KeInitializeMutex, nt52),
      SLUICE_ROUTINE(KeReleaseMutex, nt52),
      SLUICE_ROUTINE(KeInitializeSemaphore, nt52),
      SLUICE_ROUTINE(KeReleaseSemaphore, nt52),
      SLUICE_ROUTINE(KeQueryPerformanceCounter, nt52),
      SLUICE_ROUTINE(KeQueryTimeIncrement, nt52),
      SLUICE_ROUTINE(KeSetPriorityThread, nt52),
      SLUICE_ROUTINE(ExAllocatePoolWithTag, nt52),
      SLUICE_ROUTINE(ExAllocatePool, nt52),
      SLUICE_ROUTINE(ExFreePoolWithTag, nt52),
      SLUICE_ROUTINE(ExFreePool, nt52),
      SLUICE_ROUTINE(ExCreateCallback, nt52),
      SLUICE_ROUTINE(ExRegisterCallback, nt52),
      SLUICE_ROUTINE(ExUnregisterCallback, nt52),
      SLUICE_ROUTINE(ExNotifyCallback, nt52),
      SLUICE_ROUTINE(ExAcquireFastMutex, nt52),
      SLUICE_ROUTINE(ExReleaseFastMutex, nt52),
      SLUICE_ROUTINE(ExInitializeRundownProtection, nt52),
      SLUICE_ROUTINE(ExReInitializeRundownProtection, nt52),
      SLUICE_ROUTINE(ExAcquireRundownProtection, nt52),
      SLUICE_ROUTINE(ExAcquireRundownProtectionEx, nt52),
      SLUICE_ROUTINE(ExReleaseRundownProtection, nt52),
      SLUICE_ROUTINE(ExReleaseRundownProtectionEx, nt52),
      SLUICE_ROUTINE(ExWaitForRundownProtectionRelease, nt52),
      SLUICE_ROUTINE(ExRundownCompleted, nt52),
      SLUICE_ROUTINE(PsCreateSystemThread, nt52),
      SLUICE_ROUTINE(PsTerminateSystemThread, nt52),
      SLUICE_ROUTINE(PsGetCurrentProcessId, nt52),
      SLUICE_ROUTINE(PsGetCurrentThreadId, nt52),
      SLUICE_ROUTINE(PsGetProcessId, nt52),
      SLUICE_ROUTINE(PsGetThreadId, nt52),
      SLUICE_ROUTINE(PsGetThreadProcessId, nt52),
      SLUICE_ROUTINE(PsGetProcessExitStatus, nt52),
      SLUICE_ROUTINE(PsGetProcessCreateTimeQuadPart, nt52),
      SLUICE_ROUTINE(PsGetProcessInheritedFromUniqueProcessId, nt52),
      SLUICE_ROUTINE(PsIsSystemThread, nt52),
      SLUICE_ROUTINE(PsLookupProcessByProcessId, nt52),
      SLUICE_ROUTINE(PsLookupThreadByThreadId, nt52),
      SLUICE_ROUTINE(PsSetCreateProcessNotifyRoutine, nt52),
      SLUICE_ROUTINE(PsSetCreateThreadNotifyRoutine, nt52),
      SLUICE_ROUTINE(PsRemoveCreateThreadNotifyRoutine, nt52),
      SLUICE_ROUTINE(PsSetLoadImageNotifyRoutine, nt52),
      SLUICE_ROUTINE(PsRemoveLoadImageNotifyRoutine, nt52),
      SLUICE_ROUTINE(ObReferenceObjectByHandle, nt52),
      SLUICE_ROUTINE(ObOpenObjectByPointer, nt52),
      SLUICE_ROUTINE(ObfReferenceObject, nt52),
      SLUICE_ROUTINE(ObfDereferenceObject, nt52),
      SLUICE_ROUTINE(ZwClose, nt52),
      SLUICE_ROUTINE(CmRegisterCallback, nt52),
      SLUICE_ROUTINE(CmUnRegisterCallback, nt52),
      SLUICE_ROUTINE(ObQueryNameString, nt52),
      SLUICE_ROUTINE(ZwCreateKey, nt52),
      SLUICE_ROUTINE(ZwOpenKey, nt52),
      SLUICE_ROUTINE(ZwSetValueKey, nt52),
      SLUICE_ROUTINE(ZwDeleteKey, nt52),
      SLUICE_ROUTINE(ZwDeleteValueKey, nt52),
      SLUICE_ROUTINE(ZwQueryValueKey, nt52),
      SLUICE_ROUTINE(ZwQueryInformationThread, nt52),
      SLUICE_ROUTINE(IoCreateDevice, nt52),
      SLUICE_ROUTINE(IoDeleteDevice, nt52),
      SLUICE_ROUTINE(IoCreateSymbolicLink, nt52),
      SLUICE_ROUTINE(IoDeleteSymbolicLink, nt52),
      SLUICE_ROUTINE(IofCompleteRequest, nt52),
      SLUICE_ROUTINE(IoCancelIrp, nt52),
      SLUICE_ROUTINE(IoAcquireCancelSpinLock, nt52),
      SLUICE_ROUTINE(IoReleaseCancelSpinLock, nt52),
      SLUICE_ROUTINE(IoCsqInitialize, nt52),
      SLUICE_ROUTINE(IoCsqInsertIrp, nt52),
      SLUICE_ROUTINE(IoCsqRemoveNextIrp, nt52),
      SLUICE_ROUTINE(IoCsqRemoveIrp, nt52),
      SLUICE_ROUTINE(IoAllocateWorkItem, nt52),
      SLUICE_ROUTINE(IoQueueWorkItem, nt52),
      SLUICE_ROUTINE(IoFreeWorkItem, nt52),
      SLUICE_ROUTINE(MmGetSystemRoutineAddress, nt52),
      SLUICE_ROUTINE(IoAllocateMdl, nt52),
      SLUICE_ROUTINE(IoFreeMdl, nt52),
      SLUICE_ROUTINE(MmBuildMdlForNonPagedPool, nt52),
      SLUICE_ROUTINE(MmMapLockedPagesSpecifyCache, nt52),
      SLUICE_ROUTINE(MmUnmapLockedPages, nt52),
      SLUICE_ROUTINE(KeStackAttachProcess, nt52),
      SLUICE_ROUTINE(KeUnstackDetachProcess, nt52),
      SLUICE_ROUTINE(RtlInitUnicodeString, nt52),
      SLUICE_ROUTINE(RtlCompareUnicodeString, nt52),
      SLUICE_ROUTINE(RtlEqualUnicodeString, nt52),
      SLUICE_ROUTINE(RtlCompareMemory, nt52),
      SLUICE_ROUTINE(DbgPrint, nt52),
      SLUICE_ROUTINE(DbgPrintEx, nt52),
  };
#undef SLUICE_ROUTINE
#undef SLUICE_LATE_ROUTINE
  return table;
}

}  // namespace
}  // namespace sluice::sim

using namespace sluice::sim;

extern "C" {

PVOID MmGetSystemRoutineAddress(PUNICODE_STRING SystemRoutineName) {
  require_irql_at_most(PASSIVE_LEVEL, "MmGetSystemRoutineAddress");
  const std::u16string_view name(reinterpret_cast<const char16_t*>(SystemRoutineName->Buffer),
                                 SystemRoutineName->Length / sizeof(WCHAR));
  const internal_section section;
  const auto found = routines().find(name);
  const machine_options& options = the_machine().options;
  if (found == routines().end() || found->second.since > options.level) return nullptr;
  for (const std::u16string& missing : options.missing_routines) {
    if (missing == name) return nullptr;
  }
  return found->second.address;
}
}
