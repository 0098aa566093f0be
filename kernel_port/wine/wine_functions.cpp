// Functions that Wine has for real, with the IRQL up to which the documentation allows them. A driver that imports another one is
// reported: first somebody must say here what holds for it.
#include "kernel_port/wine/imports.h"

namespace sluice::wine {
namespace {

constexpr kernel_function table[] = {
    {"DbgPrint", nullptr, any_irql},
    {"ExCreateCallback", nullptr, PASSIVE_LEVEL},
    {"ExRegisterCallback", nullptr, APC_LEVEL},
    {"ExUnregisterCallback", nullptr, APC_LEVEL},
    {"IoCreateDevice", nullptr, PASSIVE_LEVEL},
    {"IoCreateSymbolicLink", nullptr, PASSIVE_LEVEL},
    {"IoDeleteDevice", nullptr, PASSIVE_LEVEL},
    {"IoDeleteSymbolicLink", nullptr, PASSIVE_LEVEL},
    {"IofCompleteRequest", nullptr, DISPATCH_LEVEL},
    {"IoAllocateMdl", nullptr, DISPATCH_LEVEL},
    {"IoFreeMdl", nullptr, DISPATCH_LEVEL},
    {"IoAcquireCancelSpinLock", nullptr, DISPATCH_LEVEL},
    {"IoReleaseCancelSpinLock", nullptr, DISPATCH_LEVEL},
    {"IoCsqInitialize", nullptr, DISPATCH_LEVEL},
    {"KeQueryTimeIncrement", nullptr, any_irql},
    {"KeInitializeEvent", nullptr, any_irql},
    {"KeSetEvent", nullptr, DISPATCH_LEVEL},
    {"KeResetEvent", nullptr, DISPATCH_LEVEL},
    {"KeClearEvent", nullptr, DISPATCH_LEVEL},
    {"KeReadStateEvent", nullptr, any_irql},
    {"KeDelayExecutionThread", nullptr, APC_LEVEL},
    {"KeSetPriorityThread", nullptr, PASSIVE_LEVEL},
    {"ObQueryNameString", nullptr, PASSIVE_LEVEL},
    {"ObReferenceObjectByHandle", nullptr, PASSIVE_LEVEL},
    {"ProbeForRead", nullptr, APC_LEVEL},
    {"ProbeForWrite", nullptr, APC_LEVEL},
    {"PsCreateSystemThread", nullptr, PASSIVE_LEVEL},
    {"PsTerminateSystemThread", nullptr, PASSIVE_LEVEL},
    {"PsProcessType", nullptr, any_irql},
    {"PsThreadType", nullptr, any_irql},
    {"RtlAddAccessAllowedAce", nullptr, APC_LEVEL},
    {"RtlCompareMemory", nullptr, any_irql},
    {"RtlCopyUnicodeString", nullptr, any_irql},
    {"RtlCreateAcl", nullptr, APC_LEVEL},
    {"RtlCreateSecurityDescriptor", nullptr, APC_LEVEL},
    {"RtlEqualUnicodeString", nullptr, PASSIVE_LEVEL},
    {"RtlGetVersion", nullptr, PASSIVE_LEVEL},
    {"RtlInitUnicodeString", nullptr, any_irql},
    {"RtlInitializeSid", nullptr, any_irql},
    {"RtlLengthSid", nullptr, any_irql},
    {"RtlSetDaclSecurityDescriptor", nullptr, APC_LEVEL},
    {"RtlSubAuthoritySid", nullptr, any_irql},
    {"RtlUpcaseUnicodeChar", nullptr, PASSIVE_LEVEL},
    {"ZwOpenKey", nullptr, PASSIVE_LEVEL},
    {"ZwQueryValueKey", nullptr, PASSIVE_LEVEL},
    {"ZwSetSecurityObject", nullptr, PASSIVE_LEVEL},
    {"ZwWaitForSingleObject", nullptr, APC_LEVEL},
    {"__C_specific_handler", nullptr, any_irql},
    {"memcmp", nullptr, any_irql},
    {"memcpy", nullptr, any_irql},
    {"memmove", nullptr, any_irql},
    {"memset", nullptr, any_irql},
};

}  // namespace

std::span<const kernel_function> functions_of_wine() { return table; }

}  // namespace sluice::wine
